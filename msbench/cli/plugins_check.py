"""`msbench plugins check`: the conformance suite on a plugin class, by its name or by its place."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msbench.cli import options as o

if TYPE_CHECKING:
    from msbench.conformance import Case, Finding
    from msbench.plugins import Component, Plugins

RuleWords = Annotated[
    list[str] | None, typer.Option("-k", "--rule", help="Only rules with this in their name. May be repeated.")
]


def check(
    name: Annotated[
        str,
        typer.Argument(help="A name of `msbench plugins list`, 'name[param=value]', a file, or a package's folder."),
    ],
    rule: RuleWords = None,
    plugin: o.PluginSources = None,
) -> None:
    """Check a plugin against the rules that the host relies on, one line a rule. Exit code 1 if one is broken.

    Example: msbench plugins check one_shot
    """
    import torch

    from msbench.conformance import cases_of
    from msbench.plugins import load_plugins

    torch.set_num_threads(1)
    started, sources = time.perf_counter(), list(plugin or [])
    path, params = Path(name.partition("[")[0]), dict[str, object]()
    if path.suffix == ".py" or "/" in name or (path / "pyproject.toml").is_file():
        own = sources_at(path)
        plugins = load_plugins([*sources, *own])
        components = _of_sources(plugins, own)
        sources += own
    else:
        plugins = load_plugins(sources)
        components, params = _named(plugins, name)
    cases = [case for found in components for case in cases_of(plugins, found, params, tuple(sources))]
    counts = _run(_chosen(cases, rule or []))
    total = sum(counts.values())
    print(
        f"{counts['ok']} of {total} ok, {counts['failed']} failed, {counts['skipped']} skipped "
        f"in {time.perf_counter() - started:.0f} s"
    )
    if counts["failed"]:
        raise typer.Exit(1)


def sources_at(path: Path) -> list[str]:
    """What `--plugin` would take: a file, or the entry points of a package's folder, which becomes importable."""
    import tomllib

    from msbench.errors import UserError
    from msbench.hookspecs import PROJECT

    if path.suffix == ".py":
        return [str(path)]
    project = path / "pyproject.toml"
    try:
        declared = tomllib.loads(project.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: no pyproject.toml there; name a package's folder, or a file") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{project}: {error}") from error
    modules = declared.get("project", {}).get("entry-points", {}).get(PROJECT, {})
    if not modules:
        raise UserError(f"{project}: no entry point in [project.entry-points.{PROJECT}]")
    folder = path / "src" if (path / "src").is_dir() else path
    sys.path.insert(0, str(folder.resolve()))
    return list(modules.values())


def _of_sources(plugins: Plugins, sources: list[str]) -> list[Component]:
    """One component a class that these sources add, under its own name."""
    from msbench.errors import UserError
    from msbench.plugins import import_plugin

    modules = [import_plugin(source) for source in sources]
    labels = {plugins.manager.get_name(module) for module in modules}
    found = [c for kind in plugins.components.values() for c in kind.values() if c.plugin in labels]
    if not found:
        raise UserError(f"{', '.join(sources)}: it adds no plugin class")
    return list({c.cls: plugins.get(c.kind, c.cls.name) for c in found}.values())  # type: ignore[attr-defined]


def _named(plugins: Plugins, text: str) -> tuple[list[Component], dict[str, object]]:
    """Every class of this name, whatever its kind, and the parameters in brackets."""
    from msbench.errors import UserError, nearest
    from msbench.selection import parse_named

    name, params = parse_named(text)
    found = [kind[name] for kind in plugins.components.values() if name in kind]
    if not found:
        known = [other for kind in plugins.components.values() for other in kind]
        raise UserError(f"unknown plugin class {name!r}: {nearest(name, known)}")
    return found, params


def _chosen(cases: list[Case], words: list[str]) -> list[Case]:
    from msbench.errors import UserError, nearest

    for word in words:
        if not any(word in case.name for case in cases):
            raise UserError(f"-k {word!r}: no such rule: {nearest(word, {case.name for case in cases})}")
    return [case for case in cases if not words or any(word in case.name for word in words)]


def _run(cases: Iterable[Case]) -> dict[str, int]:
    """Run and print; how many rules ended how."""
    counts = {"ok": 0, "failed": 0, "skipped": 0}
    shown = None
    for case in cases:
        if case.subject is not shown:
            shown = case.subject
            component = shown.component
            print(f"{component.kind} {component.name} ({f'{component.plugin} {component.version}'.strip()})")
        finding = case.finding()
        counts[finding.outcome] += 1
        _show(finding)
    return counts


def _show(finding: Finding) -> None:
    word = {"ok": "ok", "failed": "FAILED", "skipped": "skipped"}[finding.outcome]
    print(f"  {finding.rule:<15} {word}{': ' if finding.detail else ''}{finding.detail}", flush=True)
