"""Paths of one machine in a record: left out where others read it, and put back beside the run itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from msbench.board.reading.run_files import masked
from msbench.records.record import Record

FOLDER: Final = "FOLDER"
"""Stands for a folder of whoever repeats the run: `data.root=FOLDER`, `--plugin FOLDER/mine.py`."""
_PATH: Final = re.compile(r"(?:(?<=[=,\[])|^)(?:~|[A-Za-z]:)?[\\/](?!/)[^,\[\]{}'\"\n]+")
"""An absolute path: all of a text, or a value in an override."""
_BELOW_HOME: Final = 4
"""Parts of /home/NAME/FILE: what is shorter may be somebody's name."""


def placeless(record: Record) -> Record:
    """The record without the paths of its machine; every other value is as it was.

    Absolute paths become `FOLDER`, with the file's name after it where they lead to a file; in sentences, home folders
    become ~.
    """
    given = record.model_dump(mode="json")
    found = {**told(given), "command": command_without_places(record.command)}
    return Record.model_validate(found) if found != given else record


def restored(published: Record, own: Record) -> Record:
    """A published record with the paths of the run's own record, wherever `placeless` is all that sets them apart."""
    without = placeless(own).model_dump(mode="json")
    return Record.model_validate(_restored(published.model_dump(mode="json"), own.model_dump(mode="json"), without))


def command_without_places(command: str) -> str:
    """The command with `FOLDER` for each absolute path, ready to be typed."""
    try:
        words = shlex.split(command)
    except ValueError:
        return masked(command)
    found = [_PATH.sub(lambda path: _place(path.group()), word) for word in words]
    return shlex.join(found) if found != words else command


def told(value: Any) -> Any:
    """A plain value with `FOLDER` or ~ for the paths in its texts; a command is more than that."""
    if isinstance(value, str):
        return _place(value) if _PATH.fullmatch(value) else masked(value)
    if isinstance(value, Mapping):
        return {key: told(item) for key, item in value.items()}
    return [told(item) for item in value] if isinstance(value, list) else value


def _place(path: str) -> str:
    found = PurePosixPath(path.replace("\\", "/"))
    named = found.suffix and (len(found.parts) >= _BELOW_HOME or found.parts[1] not in ("home", "Users"))
    return f"{FOLDER}/{found.name}" if named else FOLDER


def _restored(given: Any, own: Any, without: Any) -> Any:
    if given == without:
        return own
    if isinstance(given, dict) and isinstance(own, dict):
        return {key: _restored(item, own[key], without[key]) if key in own else item for key, item in given.items()}
    return given
