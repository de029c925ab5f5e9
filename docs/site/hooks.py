"""MkDocs hooks: what is generated from the code is put into its pages."""

from __future__ import annotations

from typing import Any

from msbench.docsgen import expand


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page's Markdown with its generated parts."""
    return expand(markdown)
