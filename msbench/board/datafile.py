"""data.json, the file that others build on, and the JSON Schema that describes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from msbench.board.grouping import Board
from msbench.board.load import Loaded
from msbench.runs.record import SCHEMA_VERSION, Record

DATA_VERSION: Final = 1
"""Version of data.json's own layout; records inside follow the record schema's version."""
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BoardEntry(_Part):
    """A board: `slug` names its page and its files, `runs` its records by run_id."""

    slug: str
    title: str
    runs: list[str]


class UnreadableEntry(_Part):
    """A run folder whose record is not valid."""

    folder: str
    reason: str


class DataFile(_Part):
    """Every record of a leaderboard, which board each is on, and what could not be read."""

    schema_version: Literal[1] = DATA_VERSION
    record_schema_version: int = SCHEMA_VERSION
    msbench: str = Field(description="Version of msbench that wrote the file; empty when it was not installed.")
    boards: list[BoardEntry]
    records: list[Record]
    unreadable: list[UnreadableEntry]


def data_json(loaded: Loaded, boards: Sequence[Board], version: str) -> str:
    """Every record, which board it is on, and what could not be read."""
    data = DataFile(
        msbench=version,
        boards=[
            BoardEntry(slug=board.slug, title=board.title, runs=[run.run_id for run in board.everything])
            for board in boards
        ],
        records=[run.record for run in loaded.runs],
        unreadable=[UnreadableEntry(folder=item.folder, reason=item.reason) for item in loaded.unreadable],
    )
    return data.model_dump_json() + "\n"


def schema_json() -> str:
    """JSON Schema (2020-12) of data.json: what `data_json` writes, made from the record's own schema."""
    schema = {
        "$schema": _DIALECT,
        "$id": f"urn:msbench:data:{DATA_VERSION}",
        **DataFile.model_json_schema(mode="serialization"),
        "title": f"msbench data.json, version {DATA_VERSION}",
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
