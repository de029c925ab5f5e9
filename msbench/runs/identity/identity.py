"""What decides a run's numbers, kept beside its result, file by file, so that a change can be named."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msbench.config import Experiment, RunConfig
from msbench.errors import UserError
from msbench.plugins import Plugins
from msbench.records.strict_json import JsonError, read_json
from msbench.runs.identity.provenance import MADE
from msbench.runs.identity.sources import class_files, file_digest, host_files
from msbench.store.store import write_json

FILE = "identity.json"


def made_from(plugins: Plugins, config: RunConfig | Experiment) -> dict[str, Any]:
    """The digest of every source file but the sparsifier's, by part and module, and when that was so (ns)."""
    return {"at": time.time_ns(), "files": {part: digests(files) for part, files in _files(plugins, config).items()}}


def with_sparsifier(made: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """The same with the files of the run's sparsifier."""
    return {**made, "files": {**made["files"], "sparsifier": digests(class_files(cls))}}


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """Each file's digest without comments and docstrings, in the order of names."""
    return {name: file_digest(path) for name, path in sorted(files.items())}


def _files(plugins: Plugins, config: RunConfig | Experiment) -> dict[str, dict[str, Path]]:
    """Source files by part, parts named as identities name them."""
    model = config.model
    parts = {("dataset", config.data.name), ("loss balancer", config.training.balancer)}
    parts |= {("backbone", model.backbone.name), ("head", model.head.name), ("head", model.vector_head.name)}
    found = {f"{kind} {name}": class_files(plugins.get(kind, name).cls) for kind, name in sorted(parts)}
    criteria = sorted(plugins.classes("criterion").items())
    return {"msbench": host_files(), **found, **{f"criterion {name}": class_files(cls) for name, cls in criteria}}


def begin(plugins: Plugins, config: RunConfig, identity: Mapping[str, Any], folder: Path) -> None:
    """Keep a run's identity in its folder; UserError where a source file is no longer what the run was planned with."""
    write_json(identity, folder / FILE)
    made = identity.get(MADE)
    if made is None:
        return
    sparsifier = class_files(plugins.get("sparsifier", config.sparsifier.base).cls)
    for part, files in {**_files(plugins, config), "sparsifier": sparsifier}.items():
        for name, path in files.items():
            if path.stat().st_mtime_ns > made["at"] and file_digest(path) != made["files"].get(part, {}).get(name):
                raise UserError(f"{path} ({part}) has changed since this run was planned: run the command again")


def read_identity(folder: Path) -> dict[str, Any] | None:
    """The identity that lies in a run's folder; None where the run is older than this file, or never started."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        found = read_json(path)
    except (OSError, JsonError) as error:
        raise UserError(f"{path}: not readable ({error}); remove the run's folder and run again") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: not an identity; remove the run's folder and run again")
    return found
