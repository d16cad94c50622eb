"""A row that is written to all the time: between a plan of the whole table and its application it always changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection

from integrity.dedupe.batches import Work
from integrity.models import DedupePlan, DedupeRun
from integrity.operations import OperationRefused
from integrity.signals import plan_made
from tests.databases import Database
from tests.operations.books import ids, insert, make_table, some_books
from tests.operations.test_unique import add, assert_nothing_left_behind, names

TOUCH = "UPDATE book SET title = title || '.' WHERE id = 0"


@contextmanager
def after_each_plan(act: Callable[[int], None]) -> Iterator[None]:
    """Call ``act`` with the number of every plan, once it is made."""

    def receive(plan: int, **_: Any) -> None:
        act(plan)

    plan_made.connect(receive)
    try:
        yield
    finally:
        plan_made.disconnect(receive)


@pytest.fixture
def books(postgres_database: Database) -> Database:
    """20 books; 0, 1 and 2 have a twin each."""
    make_table()
    some_books(20, duplicates=3)
    return postgres_database


@pytest.fixture
def hot(books: Database) -> Iterator[list[int]]:
    """Book 0 changes after each plan whatsoever; the plans during which it could not be changed."""
    held: list[int] = []

    def touch(plan: int) -> None:
        with closing(psycopg.connect(books.url, autocommit=True)) as other:
            other.execute("SET lock_timeout = '50ms'")
            try:
                other.execute(TOUCH)
            except psycopg.errors.LockNotAvailable:
                held.append(plan)

    with after_each_plan(touch):
        yield held


def test_the_groups_that_are_left_are_planned_by_themselves(books: Database) -> None:
    small: list[int] = []

    def touch(plan: int) -> None:
        if DedupePlan.objects.get(pk=plan).document["left_by"] is None:
            books.execute(TOUCH)
        else:
            small.append(plan)

    with after_each_plan(touch):
        add().forwards()

    assert (ids(), len(small), names()) == ([*range(20)], 1, ["one_per_shelf"])
    assert_nothing_left_behind()


def test_a_row_that_changes_whenever_it_can_is_held_at_last(hot: list[int]) -> None:
    add().forwards()

    assert (ids(), len(hot), names()) == ([*range(20)], 1, ["one_per_shelf"])
    assert_nothing_left_behind()


@pytest.mark.slow
def test_many_rows_that_change_are_not_held(hot: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrity.operations.removal._FEW", 0)

    with pytest.raises(OperationRefused, match="such as that of 0: a row was changed"):
        add().forwards()

    assert hot == []
    assert_nothing_left_behind()


@pytest.mark.slow
def test_what_takes_too_long_while_rows_are_held_lets_go_of_them(
    hot: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(work: Work) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(CASE current_setting('statement_timeout') WHEN '0' THEN 0 ELSE 9 END)")

    monkeypatch.setattr("integrity.dedupe.runner.refuse_joined_once", slow)

    with pytest.raises(OperationRefused, match="such as that of 0: a row was changed"):
        add().forwards()

    assert len(hot) == 4  # one between two rounds
    assert {run.state for run in DedupeRun.objects.all()} == {"finished"}
    assert_nothing_left_behind()


def test_where_a_round_removes_nothing_and_nothing_will_pass_no_other_follows(books: Database) -> None:
    books.execute("CREATE TABLE page (id integer PRIMARY KEY, book integer REFERENCES book (id) CHECK (book = 20))")
    books.execute("INSERT INTO page VALUES (1, 20)")
    plans: list[int] = []

    with after_each_plan(plans.append), pytest.raises(OperationRefused, match="1 duplicate groups of one_per_shelf"):
        add().forwards()

    assert (len(plans), ids()) == (2, [*range(21)])  # the first removed what it could
    assert_nothing_left_behind()


def test_a_large_group_goes_row_by_row_behind_the_guard_too(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrity.dedupe.largegroups.LARGE", 4)
    make_table()
    insert(*((n, "one isbn", 1, "a title", n) for n in range(8)))
    units: list[int] = []

    def count(plan: int) -> None:
        found = postgres_database.execute(f"SELECT COUNT(DISTINCT unit) FROM integrity_plan_{plan}")
        units.append(found[0][0])

    with after_each_plan(count):
        add().forwards()

    assert (ids(), units[0], names()) == ([0], 8, ["one_per_shelf"])
    assert_nothing_left_behind()
