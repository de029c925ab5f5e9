"""Rules for every kind: what a plugin class says about itself, and how it takes its parameters."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import typing
from collections.abc import Iterator
from typing import Any, Final

from msbench.config import build_part, validated
from msbench.conformance.case import RuleError, one_line
from msbench.conformance.subject import Subject
from msbench.errors import DivergedError, UserError
from msbench.plugins import field_types

NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
WRONG: Final[dict[type, Any]] = {bool: "maybe", int: "many", float: "many", str: 5}
"""By type, what no parameter of it may take."""
NO_WORD: Final = "no such value"


def documented(subject: Subject) -> str:
    """A name in lower case, a docstring that names every parameter, and what a method is cited by."""
    cls = subject.cls
    for name in {cls.name, *getattr(cls, "variants", {})}:
        if NAME.fullmatch(name) is None:
            raise RuleError(f"the name {name!r}: use small letters, digits and underscores")
    text = cls.__doc__ or ""
    if not text.strip() or text.startswith(f"{cls.__name__}("):
        raise RuleError(f"{cls.__name__} has no docstring; its first line is shown by `msbench plugins list`")
    text = "\n".join(base.__doc__ or "" for base in cls.__mro__ if dataclasses.is_dataclass(base))
    for field in _fields(subject):
        if re.search(rf"\b{field.name}\b", text) is None:
            raise RuleError(f"the docstring does not say what {field.name!r} is")
    if getattr(cls, "sparse", False) and not cls.paper:
        raise RuleError("`paper` is empty: cite the algorithm, or write 'unpublished'")
    notes = subject.create().notes() if hasattr(cls, "notes") else []
    if not isinstance(notes, list) or not all(isinstance(note, str) and "\n" not in note for note in notes):
        raise RuleError(f"notes() returned {notes!r}, not a list of lines")
    return inspect.cleandoc(cls.__doc__).partition("\n")[0]


def parameters(subject: Subject) -> str:
    """Every parameter has a type and a valid default, and comes back the same from a configuration file."""
    hints = field_types(subject.cls)
    for field in _fields(subject):
        if _bare(hints[field.name]) in (Any, object):
            raise RuleError(f"{field.name!r} has no type that its values could be checked against")
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise RuleError(f"{field.name!r} has no default")
    values = subject.params
    stored = json.loads(json.dumps(values, allow_nan=False))
    if dataclasses.asdict(build_part(subject.component, validated(subject.component, stored, "stored"))) != values:
        raise RuleError(f"{values} comes back as {stored} from a configuration file")
    return ", ".join(f"{name}={value!r}" for name, value in values.items()) or "none"


def bad_parameters(subject: Subject) -> str:
    """A wrong value is refused by one line that names the parameter, before or while it is used; never by a crash.

    Tried are a value of another type, a word that is no choice, not-a-number, 0 and -1.
    """
    hints = field_types(subject.cls)
    located = getattr(subject.cls, "location", ())
    tried = 0
    for field in _fields(subject):
        if field.name in located or _names_a_criterion(hints[field.name]):
            continue
        for value, must in _wrong(_bare(hints[field.name])):
            tried += 1
            _refuses(subject, field.name, value, must)
    return f"{tried} wrong values"


def _refuses(subject: Subject, name: str, value: Any, must: bool) -> None:
    """must: whether the value must be refused; otherwise it may also do something."""
    instance = None
    try:
        instance = subject.create(**{name: value})
        if must and value != NO_WORD:
            raise RuleError(f"it takes {name}={value!r}: give {name} a type and bounds, as Annotated[float, Gt(0)]")
        subject.attempt(instance)
    except UserError as error:
        if "\n" in str(error) or (name not in str(error) and repr(value) not in str(error)):
            raise RuleError(f"{name}={value!r} is refused by an unclear message: {str(error)!r}") from error
    except DivergedError:
        return
    except RuleError:
        raise
    except Exception as error:
        raise RuleError(f"it takes {name}={value!r} and then raises {one_line(error)}") from error
    else:
        if must:
            raise RuleError(f"it takes {name}={value!r} without a word: give {name} the type Literal[...]")


def _wrong(hint: Any) -> Iterator[tuple[Any, bool]]:
    """Values to try for a type, and whether each must be refused."""
    if typing.get_origin(hint) is typing.Literal:
        yield NO_WORD, True
        return
    if hint in WRONG:
        yield WRONG[hint], True
    if hint is str:
        yield NO_WORD, True
    if hint is float:
        yield float("nan"), True
    if hint in (int, float):
        yield from ((0, False), (-1, False))


def _bare(hint: Any) -> Any:
    """A type without its annotations, and without None beside it."""
    if typing.get_origin(hint) is typing.Annotated:
        return _bare(typing.get_args(hint)[0])
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    if len(options) == 1 and len(options) < len(typing.get_args(hint)):
        return _bare(options[0])
    return hint


def _names_a_criterion(hint: Any) -> bool:
    """Criteria are looked up before anything runs."""
    return any(type(mark).__name__ == "_NamesCriterion" for mark in getattr(hint, "__metadata__", ()))


def _fields(subject: Subject) -> tuple[dataclasses.Field[Any], ...]:
    if "__dataclass_fields__" not in vars(subject.cls):
        raise RuleError(f"{subject.cls.__name__} is no dataclass: put @dataclass above it")
    return dataclasses.fields(subject.cls)


COMMON: Final = (documented, parameters, bad_parameters)
