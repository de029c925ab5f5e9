"""data.json, the file that others build on, and the JSON Schema that describes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from msbench.board.reading.load import Run
from msbench.board.site.site import Site
from msbench.records.record import SCHEMA_VERSION, Record

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
    unreadable: list[UnreadableEntry]
    records: list[Record] = Field(description="One record a run: the one that boards and pages show.")
    elsewhere: list[Record] = Field(
        description="The same runs on other machines: each has the run_id of one of `records`."
    )


def data_json(site: Site, known: Mapping[str, str]) -> str:
    """Every record on a line of its own, which board it is on, and what could not be read.

    known: lines that need not be made again, by the digest of the record's file; see `record_lines`.
    """
    runs = site.loaded.runs
    front = DataFile(
        msbench=site.version,
        boards=[
            BoardEntry(slug=board.slug, title=board.title, runs=[run.run_id for run in board.everything])
            for board in site.boards
        ],
        unreadable=[UnreadableEntry(folder=item.folder, reason=item.reason) for item in site.loaded.unreadable],
        records=[],
        elsewhere=[],
    ).model_dump_json(exclude={"records", "elsewhere"})
    records = [_line(run, known) for run in runs]
    elsewhere = [_line(other, known) for run in runs for other in run.elsewhere]
    return "".join((front[:-1], *_listed("records", records), *_listed("elsewhere", elsewhere), "}\n"))


def record_lines(text: str) -> list[str]:
    """The records of a data.json as they stand there, those from elsewhere last."""
    return [line.removesuffix(",") for line in text.split("\n")[1:] if line.startswith("{")]


def _line(run: Run, known: Mapping[str, str]) -> str:
    return known.get(run.sha256) or run.record.model_dump_json()


def _listed(name: str, lines: Sequence[str]) -> Iterator[str]:
    """A list of JSON texts as a member of an object that has others before it, in parts to be joined."""
    yield f',"{name}":['
    for number, line in enumerate(lines):
        yield ",\n" if number else "\n"
        yield line
    yield "\n]" if lines else "]"


def schema_json() -> str:
    """JSON Schema (2020-12) of data.json: what `data_json` writes, made from the record's own schema."""
    schema = {
        "$schema": _DIALECT,
        "$id": f"urn:msbench:data:{DATA_VERSION}",
        **DataFile.model_json_schema(mode="serialization"),
        "title": f"msbench data.json, version {DATA_VERSION}",
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
