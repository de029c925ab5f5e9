"""`msbench plugins`: what is installed, what each plugin can be told, whether it keeps the rules, how to write one."""

from __future__ import annotations

import dataclasses
import typing
from typing import Annotated, Any

import typer

from msbench.cli import options as o
from msbench.cli.plugins_check import check
from msbench.cli.plugins_new import new

Name = Annotated[str, typer.Argument(help="A class's name (msbench plugins list).")]

app = typer.Typer(
    help="What is installed, its parameters and papers; rules for plugins, and a start for one's own.",
    no_args_is_help=False,
    rich_markup_mode=None,
)
app.command("check")(check)
app.command("new")(new)


@app.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_(plugin: o.PluginSources = None) -> None:
    """List everything that is installed, what failed to load and why, and what MSBENCH_DISABLE keeps out.

    Example: msbench plugins list
    """
    from rich.table import Table

    from msbench.cli.display import make_console
    from msbench.plugins import load_plugins

    plugins = load_plugins(plugin or [])
    console = make_console()
    table = Table("kind", "name", "plugin", "version", "what", box=None, header_style="bold")
    for kind, components in plugins.components.items():
        for component in components.values():
            table.add_row(kind, component.name, component.plugin, component.version, _summary(component.cls))
    console.print(table)
    for broken in plugins.broken:
        console.print(f"\nFailed to load {broken.plugin}: {broken.error}", markup=False, soft_wrap=True)
        if broken.traceback:
            console.print(broken.traceback, markup=False, soft_wrap=True)
    for name in plugins.disabled:
        console.print(f"\nDisabled by MSBENCH_DISABLE, not imported: {name}", markup=False)


@app.command("show")
def show(name: Name, plugin: o.PluginSources = None) -> None:
    """Show one plugin class: what it does, its paper, its parameters with types and defaults.

    Example: msbench plugins show meta_sparsity
    """
    from rich.table import Table

    from msbench.cli.display import make_console
    from msbench.errors import UserError, nearest
    from msbench.plugins import field_types, load_plugins

    plugins = load_plugins(plugin or [])
    found = [kind[name] for kind in plugins.components.values() if name in kind]
    if not found:
        known = [other for kind in plugins.components.values() for other in kind]
        raise UserError(f"unknown plugin class {name!r}: {nearest(name, known)}")
    console = make_console()
    for component in found:
        cls: Any = component.cls
        console.print(f"{component.kind} {name} ({component.plugin} {component.version})\n", highlight=False)
        console.print(_cleaned(cls), markup=False, highlight=False)
        if getattr(cls, "paper", ""):
            console.print(f"\nPaper: {cls.paper}", markup=False, highlight=False)
        if getattr(cls, "variants", {}):
            console.print("\nNamed variants:", highlight=False)
            for variant, params in cls.variants.items():
                given = ", ".join(f"{key}={value}" for key, value in params.items())
                console.print(f"  {variant}: {given}", markup=False, highlight=False)
        table = Table("parameter", "type", "default", box=None, header_style="bold")
        hints = field_types(cls, annotated=False)
        for parameter in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
            table.add_row(parameter.name, _type_name(hints[parameter.name]), repr(parameter.default))
        if table.row_count:
            console.print()
            console.print(table)


def _summary(cls: type) -> str:
    return _cleaned(cls).partition("\n")[0]


def _cleaned(cls: type) -> str:
    import inspect

    return inspect.cleandoc(cls.__doc__ or "")


def _type_name(hint: object) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(str(value) for value in typing.get_args(hint))
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
