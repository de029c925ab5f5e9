"""The reference of the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msbench.docsgen.markdown import table


def commands() -> dict[str, Any]:
    """Every command that does something, by what is typed: `msbench plugins check`."""
    from typer.main import get_command

    from msbench.cli.main import app

    return dict(_below(get_command(app), "msbench"))


def reference() -> str:
    """A section for each command: what it does, its example, its arguments and options."""
    return "\n".join(_section(name, command) for name, command in commands().items())


def _below(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", {})
    for word, below in inner.items():
        yield from _below(below, f"{name} {word}")
    if not inner:
        yield name, command


def _section(name: str, command: Any) -> str:
    context = command.context_class(command, info_name=name)
    text, _, example = (command.help or "").partition("Example: ")
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            rows[parameter.param_type_name].append((f"`{record[0]}`", record[1].replace("[", r"\[")))
    tables = [table([kind, "what"], found) for kind, found in rows.items()]
    shown = f"```console\n$ {' '.join(example.split())}\n```\n"
    return "\n".join([f"## {name}\n", f"`{usage}`\n", text.strip() + "\n", shown, *filter(None, tables)])
