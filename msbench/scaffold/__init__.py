"""Writes the package that `msbench plugins new` gives: a plugin that works, as a start for one's own."""

from __future__ import annotations

import keyword
import os
import re
import shutil
import tempfile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from msbench import __version__
from msbench.errors import UserError
from msbench.plugins import Plugins

TEMPLATES = Path(__file__).parent / "templates"
COMMON = {"pyproject.toml": "pyproject.toml", "README.md": "README.md", "tests/test_NAME.py": "test.py"}
"""File of the package, with NAME for the plugin's name, to its template."""


def write_package(plugins: Plugins, kind: str, name: str, out: Path) -> Path:
    """Write the package of a new plugin into `out / name` and return that folder.

    The folder is written aside and renamed into place: it is there whole or not at all. Raises UserError for a name
    that cannot be used or is taken, a folder that exists, and one that cannot be written to.
    """
    _check_name(plugins, kind, name)
    folder = out / name
    if folder.exists():
        raise UserError(f"{folder} exists: choose another name, or another folder with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=out))
    except OSError as error:
        raise UserError(f"--out {out}: cannot write there: {error.strerror}") from error
    try:
        for path, text in _files(kind, name).items():
            (aside / path).parent.mkdir(exist_ok=True)
            (aside / path).write_text(text, encoding="utf-8")
        aside.chmod(0o755)
        os.rename(aside, folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot write there: {error.strerror}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _check_name(plugins: Plugins, kind: str, name: str) -> None:
    if re.fullmatch(r"[a-z][a-z0-9_]*", name) is None or keyword.iskeyword(name) or name.endswith("_"):
        raise UserError(f"the name {name!r}: use small letters, digits and underscores, beginning with a letter")
    taken = plugins.components[kind].get(name)
    if taken is not None:
        raise UserError(f"there is a {kind} {name!r} already, of {taken.plugin}: choose another name")


def _files(kind: str, name: str) -> dict[str, str]:
    """Every file of the package by its path."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    known = {
        "kind": kind,
        "name": name,
        "cls": "".join(part.capitalize() for part in name.split("_")),
        "module": f"msbench_{name}",
        "distribution": f"msbench-{name.replace('_', '-')}",
        "version": ".".join(__version__.split(".")[:2]),
        "hook": "msbench_criteria" if kind == "criterion" else f"msbench_{kind}s",
    }
    wanted = {**COMMON, "msbench_NAME.py": f"{kind}.py"}
    return {
        path.replace("NAME", name): environment.get_template(f"{template}.jinja").render(known)
        for path, template in wanted.items()
    }
