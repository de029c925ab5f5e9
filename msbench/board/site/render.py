"""Turns pages into HTML: one jinja environment a build, its templates compiled once."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from msbench.board import text
from msbench.board.inert import inert
from msbench.board.site.page import Page
from msbench.board.table.cells import device_name, set_up
from msbench.board.table.summary import warnings

SHARE: Final = 4
"""Pages that are worth a process: those of a method or a board take a tenth of a second each."""


def render(page: Page, environment: Environment) -> str:
    """The page's HTML, free of characters that reorder or hide what stands beside them."""
    return inert(environment.get_template(page.template).render(root=page.root, **page.context()))


@contextmanager
def rendering(wanted: Sequence[tuple[Page, str]], environment: Environment) -> Iterator[None]:
    """Write every page to its file; many of them by a process for each processor, while the `with` block runs."""
    workers = min(processors(), len(wanted) // SHARE)
    if workers < 2 or "fork" not in multiprocessing.get_all_start_methods():
        yield
        _render_some(wanted, environment)
        return
    context = multiprocessing.get_context("fork")  # what pages are made from is shared, not sent
    shares = [wanted[index::workers] for index in range(workers)]
    processes = [context.Process(target=_render_silently, args=(share, environment)) for share in shares]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.join()
    for process, share in zip(processes, shares, strict=True):
        if process.exitcode != 0:
            _render_some(share, environment)  # once more in this process, which raises what went wrong


def _render_silently(wanted: Iterable[tuple[Page, str]], environment: Environment) -> None:
    """In a process of its own; what goes wrong is an exit code, for whoever waits for it to find out."""
    try:
        _render_some(wanted, environment)
    except Exception:
        sys.exit(1)


def _render_some(wanted: Iterable[tuple[Page, str]], environment: Environment) -> None:
    for page, path in wanted:
        Path(path).write_text(render(page, environment), encoding="utf-8")


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_environment(version: str) -> Environment:
    """The templates of `board/templates`, with every text escaped and every missing name an error."""
    environment = Environment(
        loader=PackageLoader("msbench.board"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "amount": text.amount,
        "count": text.count,
        "duration": text.duration,
        "milliseconds": text.milliseconds,
        "moment": text.moment,
        "paper_link": text.paper_link,
        "percent": text.percent,
        "points": text.points,
        "scientific": text.scientific,
        "set_up": set_up,
        "signed": text.signed,
        "size": text.size,
        "times": text.times,
        "device_name": device_name,
        "warnings": warnings,
    }
    environment.globals["version"] = version
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    return environment
