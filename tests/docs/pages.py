"""The Markdown pages of the project, and what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from project.local import CHECKOUT

DOCS = CHECKOUT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [*sorted(CHECKOUT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]

_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


def name_of(page: Path) -> str:
    """The page's path in the checkout."""
    return page.relative_to(CHECKOUT).as_posix()


def links_of(page: Path) -> Iterator[str]:
    """Targets of the page's links, without those that are examples in code."""
    text = _CODE.sub("", _FENCED.sub("", page.read_text()))
    return (match[1] for match in _LINK.finditer(text))


def anchors_of(page: Path) -> set[str]:
    """The anchors that forges make of the page's headings."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def first_cells(page: Path) -> set[str]:
    """The code in the first cell of each row of the page's tables."""
    rows = re.findall(r"^\|([^|]+)\|", page.read_text(), re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`([^`]+)`", row)}
