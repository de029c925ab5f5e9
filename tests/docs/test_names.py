"""What is in the code is documented, and what the documentation names is in the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from msbench import hookspecs
from msbench.cli.main import app
from msbench.compose import GROUPS
from msbench.docsgen import GENERATORS, expand
from msbench.docsgen.commandline import commands
from msbench.docsgen.configuration import keys
from msbench.docsgen.hooks import hooks, signature
from msbench.docsgen.records import parts
from msbench.errors import UserError
from msbench.plugins import Plugins, load_plugins
from msbench.records.record import Record
from tests.docs.pages import DOCS, PAGES, ROOT, blocks, inline, name

HOOKS = (DOCS / "reference" / "hooks.md").read_text(encoding="utf-8")
EXAMPLE = next(block for block in blocks() if block.page.name == "hooks.md" and block.language == "python")
MENTIONS = sorted({(name(page), code) for page in PAGES for code in inline(page)})
"""Page and what it says in `code`."""


def options(command: Any) -> Iterator[Any]:
    yield from command.get_params(command.context_class(command, info_name="msbench"))


OPTIONS = {
    opt for command in commands().values() for found in options(command) for opt in (*found.opts, *found.secondary_opts)
}


# -- hooks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", hooks())
def test_a_hook_is_documented_with_its_signature(hook: str) -> None:
    assert len((hooks()[hook].__doc__ or "").split()) >= 5
    assert f"### {hook}\n\n```python\ndef {signature(hooks()[hook])}: ...\n```" in expand(HOOKS)


def test_the_pages_example_implements_every_hook_with_its_arguments(tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text(EXAMPLE.text, encoding="utf-8")
    loaded = load_plugins([str(path)])
    module = next(plugin for plugin in loaded.manager.get_plugins() if inspect.getsourcefile(plugin) == str(path))
    written = {n: inspect.signature(f) for n, f in vars(module).items() if n.startswith("msbench_")}
    assert set(written) == set(hooks())
    for hook, found in written.items():
        assert list(found.parameters) == list(inspect.signature(getattr(hookspecs, hook)).parameters), hook


# -- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", commands())
def test_a_command_and_each_of_its_options_are_documented(command: str) -> None:
    found = commands()[command]
    assert len(found.help.split()) >= 5
    assert f"Example: {command}" in found.help
    for parameter in options(found):
        assert parameter.help, f"{command}: {parameter.name} has no help"


def test_every_command_and_option_is_on_the_page() -> None:
    page = GENERATORS["commands"]()
    for command, found in commands().items():
        section = page.split(f"## {command}\n")[1].split("\n## ")[0]
        for parameter in options(found):
            shown = parameter.metavar or max(parameter.opts, key=len)
            assert shown in section, f"{command}: {shown}"


SAID = [(page, code) for page, code in MENTIONS if re.match(r"msbench [a-z]", code)]


@pytest.mark.parametrize(("page", "code"), SAID, ids=[f"{page}: {code}" for page, code in SAID])
def test_commands_that_are_named_exist(page: str, code: str) -> None:
    command: Any = get_command(app)
    for word in code.replace("…", "").split()[1:]:
        if not hasattr(command, "commands"):
            break
        assert word in command.commands, f"{page}: no command {word!r}"
        command = command.commands[word]


def test_options_that_are_named_exist() -> None:
    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.*"))
    for page, code in MENTIONS:
        if code.startswith(("pip ", "python ")):
            continue
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", code):
            assert option in OPTIONS or f'"{option}"' in scripts or option == "--help", f"{page}: {option}"


# -- configuration ---------------------------------------------------------------------------------------------------


def test_every_key_is_documented() -> None:
    for key in keys():
        assert len(key.what.split()) >= 2, key.name


def parameters(plugins: Plugins, kinds: tuple[str, ...]) -> set[str]:
    classes: list[Any] = [cls for kind in kinds for cls in plugins.classes(kind).values()]
    return {f.name for cls in classes if dataclasses.is_dataclass(cls) for f in dataclasses.fields(cls)}


def columns() -> set[str]:
    """The keys of a record, with dots; below a name that a run chooses, only that."""
    return {f"{where}.{field}".strip(".") for model, where in parts().items() for field in model.model_fields}


def test_keys_and_columns_that_are_named_exist(plugins: Plugins) -> None:
    fields = {
        "data": parameters(plugins, ("dataset",)),
        "sparsifier": parameters(plugins, ("sparsifier",)),
        "model": {"name", "backbone", "head", "vector_head"},
    }
    known = {key.name for key in keys()} | columns() | {f"{a}.{b}" for a, names in fields.items() for b in names}
    sections = {key.partition(".")[0] for key in known if "." in key} - {"config", "environment"}
    checked = 0
    for page, code in MENTIONS:
        for section, field in re.findall(r"(?<![\w./-])(\w+)\.([a-z]\w*)(?![\w(/]|\.\w)", code):
            if section in sections and field not in ("json", "py", "yaml", "safetensors", "parquet", "FIELD"):
                assert f"{section}.{field}" in known, f"{page}: {code}"
                checked += 1
    assert checked > 50


def test_groups_that_are_chosen_by_name_exist() -> None:
    text = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z]+)=\w+`", text)) - {"key"}
    assert {"model", "budget"} <= named <= set(GROUPS)


# -- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", parts(), ids=lambda model: model.__name__)
def test_every_column_of_a_record_is_described(model: Any) -> None:
    assert model.__doc__, model.__name__
    for field, info in model.model_fields.items():
        assert info.description, f"{model.__name__}.{field}"
        assert info.description.strip().endswith((".", ")", "`")), f"{model.__name__}.{field}"


def test_the_schema_carries_the_descriptions() -> None:
    properties = Record.model_json_schema()["properties"]
    assert all("description" in properties[name] for name in Record.model_fields)


# -- what is generated -----------------------------------------------------------------------------------------------


def test_each_generated_part_is_asked_for_once() -> None:
    asked = [n for page in PAGES for n in re.findall(r"^<!-- generated: (.+) -->$", page.read_text("utf-8"), re.M)]
    assert sorted(asked) == sorted(GENERATORS)


def test_a_part_that_nothing_generates_is_an_error() -> None:
    with pytest.raises(UserError, match="did you mean 'commands'"):
        expand("<!-- generated: comands -->")


def test_arguments_of_examples_can_be_split() -> None:
    for command in commands().values():
        assert shlex.split(command.help.partition("Example: ")[2])[0] == "msbench"
