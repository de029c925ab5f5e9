"""Digests of the code that decides a run: comments, docstrings and layout do not count, helpers do."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

HOST_PACKAGES = ("data", "measure", "models", "sparsity", "tasks", "training")
"""What of msbench can change a run's numbers; the command line, the store's bookkeeping and the board cannot."""
HOST_MODULES = ("runs/execute.py", "runs/describe.py", "runs/finish.py", "runs/build.py")


@lru_cache(maxsize=4096)
def _file_digest(path: Path, changed: tuple[int, int]) -> str:
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(node, block, None)
            if isinstance(statements, list):
                statements[:] = [statement for statement in statements if not _is_text(statement)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(statement: ast.AST) -> bool:
    """Whether a statement is a string and nothing else: documentation."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def file_digest(path: Path) -> str:
    """SHA-256 of a module's syntax tree without documentation."""
    return _file_digest(path, _stamp(path))


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is edited."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def digest(files: Iterable[Path]) -> str:
    """One digest over several modules, in a fixed order, without their absolute places."""
    parts = sorted((path.name, file_digest(path)) for path in set(files))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def host_files() -> dict[str, Path]:
    """The modules of msbench that can change a run's numbers, by their place in it."""
    root = Path(__file__).parent.parent.parent
    files = [path for package in HOST_PACKAGES for path in (root / package).rglob("*.py")]
    return {path.relative_to(root).as_posix(): path for path in [*files, *(root / module for module in HOST_MODULES)]}


def host_digest() -> str:
    """Digest of the parts of msbench that can change a run's numbers."""
    return digest(host_files().values())


def class_files(cls: type) -> dict[str, Path]:
    """The module that defines a plugin class and every module of its package that it imports, by module name."""
    start = inspect.getsourcefile(cls)
    if start is None:
        raise ValueError(f"{cls.__name__} has no source file; define plugins in files")
    seen: dict[Path, str] = {}
    queue = [(Path(start).resolve(), cls.__module__)]
    while queue:
        path, module = queue.pop()
        if path not in seen:
            seen[path] = module
            queue.extend(_imports(path, module, _stamp(path)))
    return {module: path for path, module in seen.items()}


def class_digest(cls: type) -> str:
    """Digest of the modules in `class_files`."""
    return digest(class_files(cls).values())


@lru_cache(maxsize=4096)
def _imports(path: Path, module: str, changed: tuple[int, int]) -> tuple[tuple[Path, str], ...]:
    """Modules of the same top-level package that a file imports."""
    top = module.split(".", maxsplit=1)[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                anchor = package[: len(package) - node.level + 1]
                base = ".".join([*anchor, base]).strip(".")
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    inside = sorted(name for name in names if name.split(".")[0] == top)
    return tuple((source, name) for name in inside if (source := _source_of(name)) is not None)


def _source_of(name: str) -> Path | None:
    loaded = sys.modules.get(name)
    origin = getattr(loaded, "__file__", None)
    if origin is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, AttributeError, ValueError):
            return None
        origin = spec.origin if spec is not None else None
    return Path(origin).resolve() if origin is not None and origin.endswith(".py") else None
