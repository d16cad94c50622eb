"""Rows of one key in one chunk: the table gets what it would get from them one after another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.db.models import Q, UniqueConstraint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrity.writes import UpsertResult, upsert
from tests.databases import Database
from tests.writes.books import a_model_of_books

BY_ISBN = UniqueConstraint(fields=["isbn"], name="one_isbn")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FEW, MANY = 1, 600
"""Rows of other keys beside; many travel by COPY on PostgreSQL."""


def write(book: Any, *rows: dict[str, Any], beside: int = FEW, **options: Any) -> UpsertResult:
    others = [{**rows[0], "isbn": f"other {n}"} for n in range(beside)]
    return upsert(model=book, rows=[*others, *rows], constraint="one_isbn", **options)


def the_book(book: Any) -> dict[str, Any]:
    (values,) = book.objects.filter(isbn="a").values("title", "edition", "seen")
    return dict(values)


@pytest.fixture
def book(database: Database) -> Any:
    return a_model_of_books(BY_ISBN)


@pytest.mark.parametrize("beside", [FEW, MANY])
def test_what_an_earlier_row_knows_is_not_lost_to_none(book: Any, beside: int) -> None:
    rows: list[dict[str, Any]] = [
        {"isbn": "a", "title": "first", "edition": 1},
        {"isbn": "a", "title": "last", "edition": None},
    ]

    result = write(book, *rows, beside=beside, coalesce=["edition"])

    assert the_book(book) == {"title": "last", "edition": 1, "seen": None}
    assert (len(result.inserted), len(result.folded)) == (beside + 1, 1)


@pytest.mark.parametrize("beside", [FEW, MANY])
def test_what_an_existing_row_does_not_get_comes_from_the_first_one(book: Any, beside: int) -> None:
    rows: list[dict[str, Any]] = [
        {"isbn": "a", "title": title, "edition": edition} for edition, title in enumerate(("first", "last"))
    ]

    write(book, *rows, beside=beside, update=["title"])

    assert the_book(book) == {"title": "last", "edition": 0, "seen": None}


def test_what_is_to_be_inserted_only_comes_from_the_first_one(book: Any) -> None:
    write(book, {"isbn": "a", "title": "first"}, {"isbn": "a", "title": "last"}, update=())

    assert the_book(book)["title"] == "first"


@pytest.mark.parametrize("beside", [FEW, MANY])
def test_what_must_not_be_overwritten_is_not_by_the_next_row_either(book: Any, beside: int) -> None:
    rows = [
        {"isbn": "a", "title": title, "edition": edition} for edition, title in enumerate(("draft", "done", "late"))
    ]

    result = write(book, *rows, beside=beside, overwrite=Q(title="draft"))

    assert the_book(book) == {"title": "done", "edition": 1, "seen": None}
    pk = book.objects.get(isbn="a").pk
    assert (pk in result.inserted, result.updated, result.unchanged) == (True, (pk,), (pk,))
    assert result.total == beside + 3


def test_thousands_of_rows_of_one_key_take_their_turns_in_halves(book: Any) -> None:
    rows = [{"isbn": "a", "title": str(n), "edition": n} for n in range(1000)]

    result = write(book, *rows, beside=0, overwrite=Q(edition__lt=500))

    assert the_book(book) == {"title": "500", "edition": 500, "seen": None}
    assert (len(result.inserted), len(result.updated), len(result.unchanged)) == (1, 500, 499)


def test_a_row_that_is_too_old_says_nothing_of_what_a_newer_one_does_not_know(book: Any) -> None:
    known = {"isbn": "a", "title": "known", "edition": 1, "seen": NOON}
    rows: list[dict[str, Any]] = [
        {"isbn": "a", "title": "old", "edition": 2, "seen": NOON - HOUR},
        {"isbn": "a", "title": "new", "edition": None, "seen": NOON + HOUR},
    ]
    write(book, known)

    result = write(book, *rows, coalesce=["edition"], newer_wins="seen")

    assert the_book(book) == {"title": "new", "edition": 1, "seen": NOON + HOUR}
    assert (len(result.updated), len(result.stale)) == (1, 2)  # the other book's row is old, too


MOMENTS = st.none() | st.sampled_from([NOON, NOON + HOUR])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "isbn": st.sampled_from("ab"),
            "title": st.sampled_from(["x", "y", "z"]),
            "edition": st.none() | st.integers(1, 2),
            "seen": MOMENTS,
        }
    ),
    min_size=1,
    max_size=6,
)
FIELDS = ["title", "edition", "seen"]
NUMBERS = count()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=ROWS,
    rows=ROWS,
    update=st.none() | st.lists(st.sampled_from(FIELDS), unique=True),
    coalesce=st.lists(st.sampled_from(["edition", "title"]), unique=True),
    newer_wins=st.sampled_from(["", "seen"]),
    overwrite=st.none() | st.sampled_from([Q(title="x"), Q(edition__isnull=True)]),
)
def test_a_chunk_comes_to_the_same_as_its_rows_one_by_one(
    book: Any, before: list[dict[str, Any]], rows: list[dict[str, Any]], newer_wins: str, **options: Any
) -> None:
    """Each way has keys of its own, so that the table need not be emptied."""
    found = []
    for chunk_size in (1, 100):
        run = next(NUMBERS)
        for part in (before[:1], rows):
            given = [{**row, "isbn": f"{row['isbn']} {run}"} for row in part]
            result = upsert(
                model=book,
                rows=given,
                constraint="one_isbn",
                newer_wins=newer_wins or None,
                chunk_size=chunk_size,
                **options,
            )
            assert result.total == len(given)
        of_run = book.objects.filter(isbn__endswith=f" {run}").order_by("isbn")
        found.append(list(of_run.values_list("title", "edition", "seen")))
    assert found[0] == found[1]
