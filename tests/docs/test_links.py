"""Links lead somewhere, every page can be found, and pages speak of nobody's own machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from project.local import CHECKOUT
from tests.docs.pages import DOCS, PAGES, anchors_of, links_of, name_of

EXAMPLES = {"/path/", "/srv/", "/var/", "/tmp/", "/admin/"}  # noqa: S108 - words in a page
ABSOLUTE_PATH = re.compile(r"(?<![\w:/.>`…\-])/[a-z]+/")
INDEXES = (DOCS / "index.md", DOCS / "decisions" / "README.md")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links_of(page):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page

        assert target.exists(), f"{link}: there is no such file"
        assert target.is_relative_to(CHECKOUT), f"{link} leads out of the project"
        assert not anchor or anchor in anchors_of(target), f"{link}: there is no such heading"


def test_every_page_is_listed_in_an_index() -> None:
    listed = {(index.parent / link).resolve() for index in INDEXES for link in links_of(index)}

    assert {name_of(page) for page in DOCS.rglob("*.md")} - {name_of(DOCS / "index.md")} <= {
        name_of(page) for page in listed if page.is_relative_to(CHECKOUT)
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_are_relative_or_plain_examples(page: Path) -> None:
    found = {match[0] for match in ABSOLUTE_PATH.finditer(page.read_text())}

    assert found <= EXAMPLES


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_names_the_host_of_a_package_registry(page: Path) -> None:
    assert not re.search(r"\bpypi\b|pythonhosted|index-url|registry\.\w+\.\w+", page.read_text(), re.IGNORECASE)


def test_decisions_are_numbered_once() -> None:
    numbers = [page.name[:4] for page in (DOCS / "decisions").glob("[0-9]*.md")]

    assert len(numbers) == len(set(numbers))
