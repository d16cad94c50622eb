"""A row that is written to all the time: between a plan of the whole table and its application it always changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from integrity.models import DedupePlan
from integrity.operations import OperationRefused
from integrity.signals import plan_made
from tests.databases import Database
from tests.operations.books import ids, make_table, some_books
from tests.operations.test_unique import add, assert_nothing_left_behind, names


@pytest.fixture
def touched(postgres_database: Database) -> Iterator[list[int]]:
    """Book 0, which has a twin, changes after each plan of the whole table; the plans of less."""
    small: list[int] = []

    def touch(plan: int, **_: Any) -> None:
        if DedupePlan.objects.get(pk=plan).document.get("left_by") is None:
            postgres_database.execute("UPDATE book SET title = title || '.' WHERE id = 0")
        else:
            small.append(plan)

    make_table()
    some_books(20, duplicates=3)
    plan_made.connect(touch)
    yield small
    plan_made.disconnect(touch)


def test_the_groups_that_are_left_are_planned_by_themselves(touched: list[int]) -> None:
    add().forwards()

    assert (ids(), len(touched), names()) == ([*range(20)], 1, ["one_per_shelf"])
    assert_nothing_left_behind()


@pytest.fixture
def hot(postgres_database: Database) -> Iterator[list[int]]:
    """Book 0 changes after each plan whatsoever; the plans during which it could not be changed."""
    held: list[int] = []

    def touch(plan: int, **_: Any) -> None:
        with closing(psycopg.connect(postgres_database.url, autocommit=True)) as other:
            other.execute("SET lock_timeout = '50ms'")
            try:
                other.execute("UPDATE book SET title = title || '.' WHERE id = 0")
            except psycopg.errors.LockNotAvailable:
                held.append(plan)

    make_table()
    some_books(20, duplicates=3)
    plan_made.connect(touch)
    yield held
    plan_made.disconnect(touch)


def test_a_row_that_changes_whenever_it_can_is_held_at_last(hot: list[int]) -> None:
    add().forwards()

    assert (ids(), len(hot), names()) == ([*range(20)], 1, ["one_per_shelf"])
    assert_nothing_left_behind()


def test_many_rows_that_change_are_not_held(hot: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrity.operations.removal._FEW", 0)

    with pytest.raises(OperationRefused, match="such as that of 0: a row was changed"):
        add().forwards()

    assert hot == []
    assert_nothing_left_behind()


def test_what_no_plan_will_ever_cure_is_not_tried_again(postgres_database: Database) -> None:
    make_table()
    some_books(20, duplicates=3)
    postgres_database.execute(
        "CREATE TABLE page (id integer PRIMARY KEY, book integer REFERENCES book (id) CHECK (book = 20))"
    )
    postgres_database.execute("INSERT INTO page VALUES (1, 20)")
    plans: list[int] = []

    def count(plan: int, **_: Any) -> None:
        plans.append(plan)

    plan_made.connect(count)
    with pytest.raises(OperationRefused, match="1 duplicate groups of one_per_shelf remain"):
        add().forwards()

    assert (len(plans), 20 in ids()) == (1, True)
    assert_nothing_left_behind()
