"""Keys are the same in a batch where they are the same in the table, whatever the column's collation says."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import models

from integrity.writes import RowRejected, upsert
from tests.databases import Database
from tests.writes.books import a_model_of_books

IGNORES_CASE = "CREATE COLLATION ignores_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
FEW_AND_MANY = pytest.mark.parametrize("many", [1, 1000])
"""The second are more values than travel in one statement on PostgreSQL."""


@pytest.fixture
def ignores_case(database: Database) -> str:
    """A collation for which upper and lower case are one."""
    if database.vendor == "sqlite":
        return "NOCASE"
    try:
        database.execute(IGNORES_CASE)
    except psycopg.errors.FeatureNotSupported as error:  # without ICU collations agree on what is equal
        pytest.skip(str(error))
    return "ignores_case"


def write(book: Any, numbered: list[tuple[str, int]], many: int, **options: Any) -> dict[str, int]:
    rows = [{"name": f"{name}{n}", "edition": edition} for name, edition in numbered for n in range(many)]
    result = upsert(model=book, rows=rows, **options)
    return {outcome: count for outcome, count in result.counts.items() if count}


@FEW_AND_MANY
def test_spellings_that_the_column_holds_equal_are_one_row(ignores_case: str, many: int) -> None:
    book = a_model_of_books(name=models.CharField(max_length=20, unique=True, db_collation=ignores_case))

    first = write(book, [("ann", 1), ("ANN", 2)], many, unique_fields=["name"])
    again = write(book, [("Ann", 2), ("aNN", 2)], many, unique_fields=["name"])

    assert first == {"inserted": many, "folded": many}
    assert again == {"unchanged": many, "folded": many}
    assert set(book.objects.values_list("edition", flat=True)) == {2}, "the last one wins"


@FEW_AND_MANY
def test_of_spellings_that_the_column_holds_equal_the_newest_wins(ignores_case: str, many: int) -> None:
    book = a_model_of_books(name=models.CharField(max_length=20, unique=True, db_collation=ignores_case))

    result = write(book, [("ann", 9), ("ANN", 3)], many, unique_fields=["name"], newer_wins="edition")

    assert result == {"inserted": many, "folded": many}
    assert set(book.objects.values_list("edition", flat=True)) == {9}


def test_a_condition_compares_as_the_column_does(ignores_case: str) -> None:
    key = models.UniqueConstraint(fields=["edition"], condition=~models.Q(name="nobody"), name="key")
    book = a_model_of_books(key, name=models.CharField(max_length=20, db_collation=ignores_case))

    with pytest.raises(RowRejected, match="outside the condition"):
        upsert(model=book, rows=[{"name": "NOBODY", "edition": 1}], constraint="key")
