"""Errors that a user can act on, and the nearest valid name for a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: one line that says what is wrong, where, and what to do. The command line exits with 2.

    What cannot be printed is escaped: it quotes names and files of strangers, and goes to a terminal. A plugin that
    cannot be loaded is the one that has further lines, its traceback.
    """

    def __init__(self, message: object) -> None:
        super().__init__("".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in str(message)))


class AllowanceExceededError(RuntimeError):
    """A sparsifier asked for more samples than the training allowance of its run."""


class DivergedError(RuntimeError):
    """A loss or a weight became infinite or not a number."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A suffix for an error message: the nearest known name, or all of them when none is near."""
    choices = sorted(known)
    close = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(choices) or 'none'}"
