"""Nothing that is read can run: no pickle, no evaluation of text, no unsafe loader, in msbench or its plugins."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "msbench").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "pandas.io.pickle"}
NAMES = {"eval", "exec", "compile", "execfile", "__import__"}
LOADERS = {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "pandas.read_pickle", "os.system"}


def called(node: ast.expr) -> str:
    """`a.b.c` of what is called."""
    if isinstance(node, ast.Attribute):
        return f"{called(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def true(call: ast.Call, keyword: str) -> bool:
    return any(k.arg == keyword and isinstance(k.value, ast.Constant) and k.value.value is True for k in call.keywords)


def offences(source: str) -> Iterator[str]:
    """What of a module could run what it reads."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in MODULES:
            yield node.module
        elif isinstance(node, ast.Call):
            name = called(node.func)
            if (
                name in NAMES | LOADERS
                or (name == "torch.load" and not true(node, "weights_only"))
                or (name.endswith((".load", ".loads")) and name.split(".")[0] in MODULES)
                or true(node, "allow_pickle")
                or true(node, "shell")
                or name == "torch.jit.load"
                or name.endswith(".hub.load")
            ):
                yield f"{name}()"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_runs_what_it_reads(path: Path) -> None:
    assert list(offences(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(text, shell=True)",
        "pd.read_pickle(path)",
    ],
)
def test_each_of_them_would_be_found(source: str) -> None:
    assert list(offences(source))


def test_what_is_safe_is_let_be() -> None:
    safe = "torch.load(p, weights_only=True)\nnp.load(p)\nyaml.safe_load(t)\nmodel.eval()\nre.compile(x)\njson.loads(t)"
    assert list(offences(safe)) == []
