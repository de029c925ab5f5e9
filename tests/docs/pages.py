"""The documentation as its tests read it: pages, their fenced blocks, and what they name in code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msbench.docsgen import expand

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def name(page: Path) -> str:
    """A page as it is called in messages."""
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A fenced block: its page and line, its language, its text, and the line of prose before it."""

    page: Path
    line: int
    language: str
    text: str
    before: str

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file into which a reader is told to put it."""
        told = re.search(r"[Pp]ut (?:it|this) into `(\w+\.py)`", self.before)
        return told[1] if told else None

    @property
    def commands(self) -> list[str]:
        """What a console block types, without comments; several commands of a line apart."""
        typed = re.findall(r"^\$ (.*?)(?:  #.*)?$", self.text, flags=re.MULTILINE)
        return [part.strip() for line in typed for part in line.split("; ")]


def blocks() -> Iterator[Block]:
    """Every fenced block of every page."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
            before = text[: found.start()].rstrip().rpartition("\n\n")[2]
            yield Block(page, text[: found.start()].count("\n") + 1, found[1], found[2], " ".join(before.split()))


def inline(page: Path) -> list[str]:
    """Everything that a page says in `code`, outside its blocks; what is generated included."""
    text = re.sub(r"^```.*?^```$", "", expand(page.read_text(encoding="utf-8")), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", text)]


def files_of(page: Path) -> dict[str, str]:
    """File name to text, for the blocks that a reader puts into files."""
    return {block.file: block.text for block in blocks() if block.page == page and block.file}
