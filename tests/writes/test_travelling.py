"""Few rows travel in a statement, many by COPY (on PostgreSQL): what is stored and what is refused is the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import DataError, connection, models
from pytest_django import Settings

from integrity.writes import UpsertResult, upsert
from tests.databases import Database
from tests.writes.books import a_model_of_books

BY_ISBN = models.UniqueConstraint(fields=["isbn"], name="one_isbn")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAIVE_NOON = NOON.replace(tzinfo=None)
CHICAGO = "America/Chicago"
FEW_AND_MANY = pytest.mark.parametrize("many", [3, 600])
"""The second are more values than travel in one statement."""


@pytest.fixture(params=["bound by the client", "bound by the server"])
def bound_database(request: pytest.FixtureRequest, postgres_database: Database) -> Iterator[Database]:
    """A database without and with Django's ``server_side_binding``."""
    options = connection.settings_dict["OPTIONS"]
    connection.close()
    connection.settings_dict["OPTIONS"] = {**options, "server_side_binding": "server" in request.param}
    yield postgres_database
    connection.close()
    connection.settings_dict["OPTIONS"] = options


def write(book: Any, many: int, *, on_error: Any = "raise", **odd: Any) -> UpsertResult:
    """Write ``many`` books, the second of them with the values ``odd``, the others with NULLs, but for the title."""
    rows: list[dict[str, Any]] = [{"isbn": str(n), **dict.fromkeys(odd), "title": "x"} for n in range(many)]
    rows[1].update(odd)
    return upsert(model=book, rows=rows, constraint="one_isbn", on_error=on_error)


def assert_refused(book: Any, many: int, **odd: Any) -> None:
    """With Django's error; by itself where rows are isolated."""
    with pytest.raises(DataError):
        write(book, many, **odd)
    assert not book.objects.exists()

    result = write(book, many, on_error="isolate", **odd)

    assert [(one.position, isinstance(one.error, DataError)) for one in result.failed] == [(1, True)]
    assert len(result.inserted) == book.objects.count() == many - 1


def stored(column: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM book WHERE isbn = '1'")
        return cursor.fetchone()[0]


@FEW_AND_MANY
@pytest.mark.parametrize("value", [2**63, 2**70, -(2**63) - 1])
def test_an_integer_beyond_64_bits_is_refused(database: Database, value: int, many: int) -> None:
    assert_refused(a_model_of_books(BY_ISBN), many, edition=value)


@FEW_AND_MANY
@pytest.mark.parametrize(("kind", "bits"), [("smallint", 16), ("integer", 32), ("bigint", 64)])
def test_an_integer_is_stored_as_it_is_or_refused(bound_database: Database, kind: str, bits: int, many: int) -> None:
    book = a_model_of_books(BY_ISBN)
    bound_database.execute(f"ALTER TABLE book ALTER edition TYPE {kind}")
    limit = 2 ** (bits - 1)

    for value in (limit, limit + 7, -limit - 1, 2**bits + 5):
        assert_refused(book, many, edition=value)
        book.objects.all().delete()
    for value in (-limit, limit - 1):
        write(book, many, edition=value)
        assert stored("edition") == value


@FEW_AND_MANY
def test_a_key_that_is_too_large_is_not_another_rows(bound_database: Database, many: int) -> None:
    numbers = models.UniqueConstraint(fields=["edition"], name="one_edition")
    book = a_model_of_books(numbers)
    rows = [{"edition": n, "title": "mine"} for n in range(many)]
    upsert(model=book, rows=rows, constraint="one_edition")

    with pytest.raises(DataError, match="out of range"):
        upsert(
            model=book,
            rows=[{"edition": n + 2**32, "title": "another"} for n in range(many)],
            constraint="one_edition",
        )

    assert set(book.objects.values_list("title", flat=True)) == {"mine"}


@FEW_AND_MANY
def test_an_integer_of_any_size_goes_into_a_column_for_such(bound_database: Database, many: int) -> None:
    book = a_model_of_books(BY_ISBN)
    bound_database.execute("ALTER TABLE book ALTER edition TYPE numeric")

    write(book, many, edition=2**70)

    assert stored("edition") == 2**70


@FEW_AND_MANY
def test_half_a_surrogate_pair_is_refused(database: Database, many: int) -> None:
    assert_refused(a_model_of_books(BY_ISBN), many, title="\ud800")


@FEW_AND_MANY
@pytest.mark.parametrize("also_decimals", [False, True])
def test_a_nul_in_a_text_is_refused(postgres_database: Database, many: int, also_decimals: bool) -> None:
    price = models.DecimalField(max_digits=9, decimal_places=2, null=True)

    assert_refused(
        a_model_of_books(BY_ISBN, price=price), many, title="a\0b", **({"price": 1} if also_decimals else {})
    )


@FEW_AND_MANY
@pytest.mark.parametrize("kind", ["varchar(3)", "char(3)", "short"])
def test_a_text_that_is_too_long_is_refused_and_not_cut(postgres_database: Database, kind: str, many: int) -> None:
    book = a_model_of_books(BY_ISBN)
    postgres_database.execute("CREATE DOMAIN short AS varchar(3)")
    postgres_database.execute(f"ALTER TABLE book ALTER title TYPE {kind}")

    assert_refused(book, many, title="abcd")

    write(book, many, title="abc")
    assert stored("title") == "abc"


@FEW_AND_MANY
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=2))])
def test_a_moment_is_the_same_in_a_column_without_a_time_zone(
    postgres_database: Database, zone: timezone, kind: str, many: int
) -> None:
    book = a_model_of_books(BY_ISBN)
    postgres_database.execute(f"ALTER TABLE book ALTER seen TYPE {kind}")

    write(book, many, seen=NOON.astimezone(zone))

    assert stored("seen::text").startswith("2026-01-01 12:00:00")


@FEW_AND_MANY
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
@pytest.mark.parametrize("others", [None, NOON])
def test_a_naive_moment_is_the_sessions_without_time_zones_in_django(
    postgres_database: Database, settings: Settings, others: datetime | None, kind: str, many: int
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, CHICAGO
    book = a_model_of_books(BY_ISBN)
    postgres_database.execute(f"ALTER TABLE book ALTER seen TYPE {kind}")
    rows = [{"isbn": str(n), "seen": NAIVE_NOON if n == 1 else others} for n in range(many)]

    upsert(model=book, rows=rows, constraint="one_isbn")

    assert stored("seen") == NAIVE_NOON


@FEW_AND_MANY
def test_a_document_that_is_nested_too_deep_is_refused_alone(database: Database, many: int) -> None:
    book = a_model_of_books(BY_ISBN, note=models.JSONField(null=True))
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    result = write(book, many, on_error="isolate", note=deep)

    assert [one.position for one in result.failed] == [1]
    assert len(result.inserted) == many - 1


@FEW_AND_MANY
def test_a_choice_is_a_text(database: Database, many: int) -> None:
    class Title(models.TextChoices):
        GOOD = "good"

    book = a_model_of_books(BY_ISBN)
    rows = [{"isbn": str(n), "title": Title.GOOD if n == 1 else "plain"} for n in range(many)]

    upsert(model=book, rows=rows, constraint="one_isbn")

    assert stored("title") == "good"
