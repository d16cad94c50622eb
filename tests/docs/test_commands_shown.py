"""The commands that pages show are run, and what the pages show is what PostgreSQL's user sees."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from project.databases import parse
from tests.commands import CommandResult
from tests.conftest import BOTH
from tests.docs.consoles import Step, matches, steps_of
from tests.docs.pages import PAGES, name_of

FAILED = 2
SLOW = {"the pipeline's demo"}


def sessions() -> list[Any]:
    """Each session of each page, with its commands in order."""
    return [
        pytest.param(name, list(steps), id=f"{name_of(page)}: {name}", marks=[pytest.mark.slow] if name in SLOW else [])
        for page in PAGES
        for name, steps in groupby(steps_of(page), key=lambda step: step.session)
    ]


@pytest.mark.parametrize("vendor", BOTH)
@pytest.mark.parametrize(("session", "steps"), sessions())
def test_commands_do_what_the_page_shows(
    session: str,
    steps: list[Step],
    vendor: str,
    begin: Callable[[str, str], None],
    call: Callable[..., CommandResult],
) -> None:
    begin(session, vendor)
    last = 0

    for step in steps:
        result = _run(step, call, last)
        last = result.code
        said = result.err if result.code == FAILED else result.out

        assert last != FAILED or "CommandError" in step.shown, f"$ {step.command}\n{said}"
        if vendor == "postgresql":  # ids, sizes and names of indexes differ elsewhere
            assert matches(step.shown, said), f"$ {step.command}\n{said}"


def _run(step: Step, call: Callable[..., CommandResult], last: int) -> CommandResult:
    match step.words:
        case ["export", assignment]:
            variable, _, url = assignment.partition("=")
            parse(url, variable=variable, sqlite_engine="project.sqlite")
            return CommandResult(code=0, out="", err="")
        case ["echo", "$?"]:
            return CommandResult(code=0, out=str(last), err="")
        case ["make", "demo"]:
            return call("demo")
        case ["make", "demo-pipeline"]:
            return call("demo", "--pipeline")
        case ["python" | ".venv/bin/python", "manage.py", *arguments]:
            return call(*arguments, input="y\n")
    raise AssertionError(f"This test cannot run: {step.command}. Show it in a block that is not a console.")


@pytest.mark.parametrize(
    ("shown", "said", "same"),
    [
        ("two  rows\n", "two\nrows", True),
        ("one … three", "one two three", True),
        ("…\nthree", "one\ntwo\nthree", True),
        ("one …", "one", True),
        ("one row", "two rows", False),
        ("a row", "a row and more", False),
        ("1. ────", "1. ─", True),
    ],
)
def test_three_dots_stand_for_anything_or_nothing(shown: str, said: str, same: bool) -> None:
    assert matches(shown, said) is same


def test_a_session_is_read_in_its_order(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- session: one -->\n```console\n$ a  # why\nx\n$ b\n```\n```sh\n$ no\n```\n```console\n$ c\n```\n"
    )

    steps = list(steps_of(page))

    assert [(step.session, step.words, step.shown) for step in steps] == [
        ("one", ["a"], "x\n"),
        ("one", ["b"], ""),
        ("one", ["c"], ""),
    ]
