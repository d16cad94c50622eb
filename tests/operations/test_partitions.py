"""Partitioned tables: built on each partition, attached, valid as a whole."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.operations import AddConstraint
from django.db.models import Deferrable, Index, Q, UniqueConstraint

from integrity.backends.postgresql.definition import unique_indexes
from integrity.dedupe import DedupeRule
from integrity.operations import AddIndexIfMissing, AddUniqueConstraintOnline, OperationRefused
from tests.databases import Database
from tests.operations.books import KEEP_OLDEST, KEY, Change, insert

VARIANTS = {
    "constraint": KEY,
    "nulls not distinct": UniqueConstraint(fields=["isbn", "shelf"], name="one_per_shelf", nulls_distinct=False),
    "deferrable": UniqueConstraint(fields=["isbn", "shelf"], name="one_per_shelf", deferrable=Deferrable.DEFERRED),
    "condition": UniqueConstraint(fields=["isbn", "shelf"], condition=Q(pages__gt=0), name="one_per_shelf"),
}


def make_partitioned(name: str = "book") -> None:
    """Books by shelf: two leaves, and one partition that is partitioned again."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {name} (id integer, isbn varchar(20), shelf integer, title text, pages integer, "
            f"PRIMARY KEY (id, shelf)) PARTITION BY LIST (shelf)"
        )
        cursor.execute(f"CREATE TABLE {name}_1 PARTITION OF {name} FOR VALUES IN (1)")
        cursor.execute(f"CREATE TABLE {name}_2 PARTITION OF {name} FOR VALUES IN (2)")
        cursor.execute(f"CREATE TABLE {name}_rest PARTITION OF {name} DEFAULT PARTITION BY RANGE (shelf)")
        cursor.execute(f"CREATE TABLE {name}_3 PARTITION OF {name}_rest FOR VALUES FROM (3) TO (100)")


def books() -> list[tuple[int, str, int, str, int]]:
    return [(n, f"isbn {n % 50}", 1 + n // 20 % 4, "t", n + 1) for n in range(160)]


def found(table: str) -> list[tuple[str, str | None, bool]]:
    """Definition, constraint and validity of the unique indexes of a table and its partitions."""
    return [
        (index.definition, index.constraint, index.valid)
        for part in ("", "_1", "_2", "_rest", "_3")
        for index in unique_indexes(f"{table}{part}", connection=connection)
    ]


def test_a_plain_index_is_refused_until_its_owner_has_built_it(postgres_database: Database) -> None:
    make_partitioned()
    adding = Change(AddIndexIfMissing("book", Index(fields=["isbn"], name="by_isbn")))

    with pytest.raises(OperationRefused, match=r"Create 'by_isbn' ON ONLY it"):
        adding.forwards()

    postgres_database.execute("CREATE INDEX by_isbn ON book (isbn)")
    adding.forwards()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_partitioned_table_comes_out_as_django_would_have_made_it(postgres_database: Database, variant: str) -> None:
    make_partitioned()
    make_partitioned("other")
    insert(*books())
    theirs = VARIANTS[variant].clone()
    theirs.name = "of_django"

    Change(AddUniqueConstraintOnline("book", VARIANTS[variant], rule=KEEP_OLDEST)).forwards()
    Change(AddConstraint("book", theirs), table="other").forwards()

    assert found("book") == found("other")
    with connection.cursor() as cursor:
        cursor.execute("SELECT isbn, shelf FROM book GROUP BY 1, 2 HAVING count(*) > 1")
        assert cursor.fetchall() == []


def test_a_new_partition_has_it_too(postgres_database: Database) -> None:
    make_partitioned()
    Change(AddUniqueConstraintOnline("book", KEY)).forwards()

    postgres_database.execute("CREATE TABLE book_4 PARTITION OF book_rest FOR VALUES FROM (100) TO (200)")

    assert len(unique_indexes("book_4", connection=connection)) == 1


def test_an_addition_that_stopped_between_two_partitions_is_taken_up(postgres_database: Database) -> None:
    make_partitioned()
    insert(*books()[:10])
    postgres_database.execute("ALTER TABLE ONLY book ADD CONSTRAINT one_per_shelf UNIQUE (isbn, shelf)")

    Change(AddUniqueConstraintOnline("book", KEY)).forwards()

    assert [valid for *_, valid in found("book")] == [True] * 5


def test_it_goes_again(postgres_database: Database) -> None:
    make_partitioned()
    change = Change(AddUniqueConstraintOnline("book", KEY))

    change.forwards()
    change.backwards()

    assert found("book") == []


def test_a_key_without_the_partition_key_is_refused_with_the_reason(postgres_database: Database) -> None:
    make_partitioned()
    insert(*books())
    constraint = UniqueConstraint(fields=["isbn"], name="one_isbn")
    rule = DedupeRule(model="library.Book", fields=("isbn",))

    with pytest.raises(OperationRefused, match=r"partitioned by (LIST|RANGE) \(shelf\)"):
        Change(AddUniqueConstraintOnline("book", constraint, rule=rule)).forwards()

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM book")
        assert cursor.fetchone() == (160,)
