"""BibTeX of the papers behind a board's methods. A field is written only where the citation says it.

Plugins cite as text. "Names. Title. Where and when" is taken apart; several such texts stand beside each other with a
semicolon between. A citation of any other form goes whole into `note`: nothing is guessed.
"""

from __future__ import annotations

import importlib.metadata
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from msbench.board.comparison.ranking import BoardRows
from msbench.board.downloads.latex import escape
from msbench.board.text import paper_link

_BETWEEN: Final = re.compile(r";\s+")
_SENTENCE: Final = re.compile(r"(?<=[^\s.])[.?!]\s+(?=\S)")
_NAME: Final = re.compile(r"(?:[^\W\d_]|[' ’-]){2,}")
_ARXIV: Final = re.compile(r",?\s*arxiv[:\s]\s*(\d{2})(\d{2})\.(\d{4,5})(?:v\d+)?", re.IGNORECASE)
_PLACE: Final = re.compile(r",?\s*\b(?:Table|Section|Algorithm|Figure|Equation)\s+\d+\b")
"""Where in a paper: no part of an entry."""
_YEAR: Final = re.compile(r",?\s*\b((?:19|20)\d\d)\b")


def board_bibtex(data: BoardRows) -> str:
    """One entry a paper, in the order of the board's rows, each naming its methods; msbench itself comes last."""
    methods: dict[str, list[str]] = {}
    papers: dict[str, dict[str, str]] = {}
    for row in [*([data.dense] if data.dense else []), *data.rows]:
        for citation in filter(None, (part.strip() for part in _BETWEEN.split(row.sparsifier.paper))):
            fields = citation_fields(citation)
            paper = fields.get("eprint") or fields.get("title") or citation
            papers.setdefault(paper, fields)
            methods.setdefault(paper, []).append(row.sparsifier.name)
    entries: list[str] = []
    taken: set[str] = set()
    for paper, fields in papers.items():
        key = _free(_key(fields, methods[paper][0]), taken)
        taken.add(key)
        names = ", ".join(dict.fromkeys(map(_one_line, methods[paper])))
        entries.append(f"% {names}\n{_entry('misc', key, fields)}")
    return "\n".join([*entries, f"% the benchmark\n{_entry('software', _free('msbench', taken), _own_fields())}"])


def citation_fields(citation: str) -> dict[str, str]:
    """BibTeX fields of one citation, unescaped."""
    link = paper_link(citation)
    parsed = _take_apart(citation)
    arxiv = _ARXIV.search(citation)
    fields = parsed or {"note": citation}
    if arxiv:
        # An arXiv number starts with the year and month of the first version.
        fields |= {"eprint": f"{arxiv[1]}{arxiv[2]}.{arxiv[3]}", "archiveprefix": "arXiv"}
        fields.setdefault("year", f"20{arxiv[1]}")
    return fields | ({"url": link} if link else {})


def _take_apart(citation: str) -> dict[str, str]:
    """Author, title, where and year of "Names. Title. Where and when"; empty for any other form."""
    ends = list(_SENTENCE.finditer(citation))
    if len(ends) != 2:
        return {}
    first, second = ends
    names = re.split(r",\s+and\s+|,\s+|\s+and\s+", citation[: first.start()])
    if not all(_NAME.fullmatch(name) for name in names):
        return {}
    mark = second[0].strip().rstrip(".")
    title = citation[first.end() : second.start()] + mark
    where = _PLACE.sub("", _ARXIV.sub("", citation[second.end() :]))
    found = {"author": " and ".join(names), "title": title, "howpublished": where.strip(" .,")}
    if year := _YEAR.search(where):
        found["howpublished"] = (where[: year.start()] + where[year.end() :]).strip(" .,")
        found["year"] = year[1]
    return {key: value for key, value in found.items() if value}


def _own_fields() -> dict[str, str]:
    try:
        package = importlib.metadata.metadata("msbench")
    except importlib.metadata.PackageNotFoundError:
        return {"title": "msbench"}
    return {"title": f"msbench: {package['Summary']}", "version": package["Version"]}


def _key(fields: Mapping[str, str], method: str) -> str:
    """First author and year, or the method's name."""
    author = fields.get("author", "").partition(" and ")[0]
    plain = unicodedata.normalize("NFKD", author or method).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "", plain.lower()) + fields.get("year", "") or "method"


def _free(key: str, taken: Iterable[str]) -> str:
    """The key, with a letter or a number behind it where it is taken."""
    used = set(taken)
    ends = ["", *"bcdefghijklmnopqrstuvwxyz"]
    return next((key + end for end in ends if key + end not in used), f"{key}-{len(used)}")


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{_value(name, value)}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}", ""])


def _value(name: str, value: str) -> str:
    """Escaped for LaTeX, but addresses; a title keeps its capitals."""
    if name in ("url", "eprint"):
        return re.sub(r"[{}\\\s]", "", value)
    text = escape(_one_line(value))
    return f"{{{text}}}" if name == "title" else text


def _one_line(value: str) -> str:
    return " ".join(value.split())
