"""Formulas as MathML, which browsers draw without any script."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

_TOKEN: Final = re.compile(r"'[^']*'|[^\s]+")


_SPACE: Final = Markup('<mspace width="0.2em"></mspace>')


def formula(*parts: str | Markup) -> Markup:
    """A displayed formula."""
    return Markup('<math display="block">{}</math>').format(row(*parts))


def row(*parts: str | Markup) -> Markup:
    """Parts side by side. Of text, each word is a variable, number or operator; `a_b` and `a^b` are index and power,
    and what stands in quotes is prose.
    """
    return Markup("<mrow>{}</mrow>").format(Markup("").join(_part(part) for part in parts))


def frac(above: str | Markup, below: str | Markup) -> Markup:
    """A fraction."""
    return Markup("<mfrac>{}{}</mfrac>").format(row(above), row(below))


def root(inside: str | Markup) -> Markup:
    """A square root."""
    return Markup("<msqrt>{}</msqrt>").format(row(inside))


def total(over: str | Markup) -> Markup:
    """A sum over what is written below it."""
    return Markup('<munder><mo movablelimits="false">∑</mo>{}</munder>').format(row(over))


def mean(over: str | Markup, count: str | Markup) -> Markup:
    """One over `count`, and a sum: a mean."""
    return frac("1", count) + _SPACE + total(over) + _SPACE


def share(condition: str | Markup) -> Markup:
    """The share of valid pixels that meet a condition, in percent."""
    return row("100 ·", frac("1", "n"), "#", "{ i :", condition, "}")


def _part(part: str | Markup) -> Markup:
    return part if isinstance(part, Markup) else Markup("").join(_token(token) for token in _TOKEN.findall(part))


def _token(token: str) -> Markup:
    if token.startswith("'"):
        return Markup("<mtext>{}</mtext>").format(token.strip("'"))
    for mark, tag in (("_", "msub"), ("^", "msup")):
        base, found, index = token.partition(mark)
        if found and base and index:
            return Markup("<{0}>{1}{2}</{0}>").format(Markup(tag), _token(base), _token(index))
    if token == "-":
        token = "−"
    if re.fullmatch(r"\d+([.,]\d+)?", token):
        return Markup("<mn>{}</mn>").format(token)
    return Markup("<mi>{}</mi>").format(token) if token.isalpha() else Markup("<mo>{}</mo>").format(escape(token))
