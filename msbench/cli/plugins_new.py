"""`msbench plugins new`: an installable package for a plugin of one's own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Kind(StrEnum):
    """What can be written."""

    SPARSIFIER = "sparsifier"
    DATASET = "dataset"
    BACKBONE = "backbone"
    HEAD = "head"
    CRITERION = "criterion"


def new(
    kind: Annotated[Kind, typer.Argument(help="What to write.")],
    name: Annotated[str, typer.Argument(help="What users will type: small letters, digits and underscores.")],
    out: Annotated[Path, typer.Option(help="The folder that the package's folder is put into.")] = Path(),
) -> None:
    """Write a package with a plugin that works, its tests and its README, as a start for one's own.

    Example: msbench plugins new sparsifier my_method
    """
    from msbench.plugins import load_plugins
    from msbench.scaffold import write_package

    folder = write_package(load_plugins(), kind.value, name, out)
    print(f"{folder} is written. Next:")
    print(f"  msbench plugins check {folder}")
    print(f"  pip install --no-build-isolation -e {folder}")
