"""Options of `msbench leaderboard`, and where its records and pages are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msbench.cli import options as o

if TYPE_CHECKING:
    from msbench.board.library.shelf import Library

Records = Annotated[
    Path | None, typer.Option(help="A folder of records, such as leaderboard/records, in place of the store.")
]
Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", help="Folder to write. [RESULTS/leaderboard, or site beside the folder of records]"),
]
Figures = Annotated[
    bool,
    typer.Option("--figures", help="With the boards' figures as PDF, a third of a second each (needs msbench[pdf])."),
]
To = Annotated[Path, typer.Option(help="The public folder: records/ is committed, site/ is built from it.")]


@dataclass(frozen=True)
class Source:
    """Where records are, where their pages go, and what lies beside them. `public`: pages are for everyone."""

    runs: Path
    out: Path
    root: Path
    named: str
    public: bool

    def library(self, plugin: list[str] | None) -> Library:
        """What the pages know beside the records."""
        from msbench.leaderboard import make_library
        from msbench.plugins import load_plugins

        return make_library(load_plugins(plugin or []), self.root, real_images=not self.public)


def source_of(results: Path | None, records: Path | None, out: Path | None = None) -> Source:
    """The store, or a folder of records. UserError where both are named, or it is not there."""
    from msbench.errors import UserError
    from msbench.store.store import Store

    if records is not None:
        if results is not None:
            raise UserError("--records and --results: name one of the two")
        if not records.is_dir():
            raise UserError(f"--records {records}: no such folder; `msbench leaderboard publish` makes one")
        root = records.resolve().parent
        return Source(records, out or root / "site", root, f"--records {records}", True)
    store = Store(o.results_folder(results))
    if not store.runs.is_dir():
        raise UserError(f"--results {store.root}: no runs there; make some with `msbench run`, or name another folder")
    return Source(store.runs, out or store.leaderboard, store.root, f"--results {store.root}", False)
