"""A case: one rule on one plugin class. It raises where the rule is broken."""

from __future__ import annotations

import inspect
import unittest
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Rule = Callable[[Any], str]
"""Judges a subject. Returns what it found in a few words; raises RuleError or Inapplicable."""


class RuleError(AssertionError):
    """The plugin breaks the rule; the message says how, with figures."""


class Inapplicable(unittest.SkipTest):
    """The rule does not apply here; the message says why. pytest and unittest count it as skipped."""


@dataclass(frozen=True)
class Finding:
    """What one rule said about one subject."""

    subject: str
    rule: str
    outcome: Literal["ok", "failed", "skipped"]
    detail: str


@dataclass(frozen=True)
class Case:
    """One rule on one subject; `str(case)` is its name in a test report."""

    subject: Any
    rule: Rule

    def __str__(self) -> str:
        return f"{self.subject}-{self.name}"

    @property
    def name(self) -> str:
        """The rule's name, as `-k` takes it."""
        return self.rule.__name__

    @property
    def promise(self) -> str:
        """What the rule asks for, in one sentence."""
        return inspect.cleandoc(self.rule.__doc__ or "").partition("\n\n")[0].replace("\n", " ")

    def run(self) -> str:
        """What was found; raises RuleError (an AssertionError) or Inapplicable (a skipped test)."""
        try:
            return self.rule(self.subject)
        except (RuleError, Inapplicable):
            raise
        except Exception as error:  # the plugin's own code runs here
            raise RuleError(one_line(error)) from error

    def finding(self) -> Finding:
        """The same as a value."""
        try:
            return Finding(str(self.subject), self.name, "ok", self.run())
        except RuleError as error:
            return Finding(str(self.subject), self.name, "failed", str(error))
        except Inapplicable as error:
            return Finding(str(self.subject), self.name, "skipped", str(error))


def findings(cases: Iterable[Case]) -> Iterator[Finding]:
    """Run cases one after the other."""
    for case in cases:
        yield case.finding()


def one_line(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
