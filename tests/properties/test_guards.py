"""A guard refuses what the real index would, and nothing else, whatever writers do."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

import psycopg
import pytest
from django.db import connection
from django.db.models import F, Q, UniqueConstraint
from django.db.models.functions import Coalesce, Lower
from hypothesis import given
from hypothesis import strategies as st
from psycopg import IsolationLevel

from integrity.backends.postgresql.definition import wanted_index
from integrity.backends.postgresql.guards import Guard, drop_guard_now
from integrity.backends.postgresql.rows import PostgreSQLRows
from tests.databases import Database
from tests.operations.books import book_state, make_table

NAME: Final = "one_per_key"
CONSTRAINTS: Final = {
    "fields": UniqueConstraint(fields=["isbn", "shelf"], name=NAME),
    "equal NULLs": UniqueConstraint(fields=["isbn"], name=NAME, nulls_distinct=False),
    "a condition": UniqueConstraint(
        fields=["isbn", "shelf"], name=NAME, condition=Q(pages__gt=1) | Q(title__isnull=True)
    ),
    "an operator class": UniqueConstraint(
        fields=["isbn"], name=NAME, opclasses=["text_pattern_ops"], include=["pages"]
    ),
    "expressions": UniqueConstraint(Lower("isbn"), F("shelf").desc(), name=NAME),
    "expressions and equal NULLs": UniqueConstraint(Coalesce("shelf", 0), "isbn", name=NAME, nulls_distinct=False),
}
Statement = tuple[str, tuple[Any, ...]]

numbers = st.integers(1, 8)
isbns = st.sampled_from(["a", "A", "b", None])
few = st.sampled_from([None, 1, 2])
titles = st.sampled_from([None, "t"])


def statements() -> st.SearchStrategy[Statement]:
    """An INSERT, UPDATE or DELETE of one of eight rows of a table ``{}``."""
    return st.one_of(
        _of(
            "INSERT INTO {} (id, isbn, shelf, title, pages) VALUES (%s, %s, %s, %s, %s)",
            numbers,
            isbns,
            few,
            titles,
            few,
        ),
        _of("UPDATE {} SET isbn = %s WHERE id = %s", isbns, numbers),
        _of("UPDATE {} SET shelf = %s, pages = %s WHERE id = %s", few, few, numbers),
        _of("UPDATE {} SET id = %s WHERE id = %s", numbers, numbers),
        _of("DELETE FROM {} WHERE id = %s", numbers),
    )


def _of(sql: str, *values: st.SearchStrategy[Any]) -> st.SearchStrategy[Statement]:
    return st.tuples(st.just(sql), st.tuples(*values))


@pytest.mark.slow
@pytest.mark.parametrize("constraint", CONSTRAINTS.values(), ids=CONSTRAINTS)
@given(
    level=st.sampled_from(IsolationLevel),
    before=st.lists(statements(), max_size=12),
    transactions=st.lists(st.lists(statements(), min_size=1, max_size=3), min_size=5, max_size=20),
)
def test_it_answers_as_the_index(
    postgres_database: Database,
    constraint: UniqueConstraint,
    level: IsolationLevel,
    before: list[Statement],
    transactions: list[list[Statement]],
) -> None:
    make_tables(constraint)
    with closing(psycopg.connect(postgres_database.url)) as own:
        own.isolation_level = level
        for statement in before:
            # What the real index refuses is in neither: the guard is to stand on equal ground.
            if answer(own, [statement], table="indexed") == "":
                assert answer(own, [statement], table="book") == ""
        make_guard(constraint)

        for transaction in transactions:
            assert answer(own, transaction, table="book") == answer(own, transaction, table="indexed")

        assert rows(own, "book") == rows(own, "indexed")


def make_tables(constraint: UniqueConstraint) -> None:
    """Make the table ``book``, and ``indexed`` with the constraint."""
    drop_guard_now("book", NAME, rows=PostgreSQLRows(connection))
    for table in ("book", "indexed"):
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
        make_table(table)
    with connection.schema_editor() as editor:
        editor.add_constraint(book_state("indexed").apps.get_model("library", "Book"), constraint)


def make_guard(constraint: UniqueConstraint) -> None:
    """Guard the table ``book``."""
    found = wanted_index(
        model=book_state().apps.get_model("library", "Book"), constraint=constraint, connection=connection
    )
    assert found is not None
    index, key = found
    Guard(table="book", index=index, key=key, connection=connection).set_up(say=lambda _: None)


def answer(own: psycopg.Connection, transaction: list[Statement], *, table: str) -> str:
    """Run the statements in one transaction; return what they were refused for, or nothing."""
    try:
        with own.transaction():
            for sql, values in transaction:
                own.execute(sql.format(table), values)
    except psycopg.errors.UniqueViolation as refused:
        return str(refused.diag.constraint_name).removeprefix(f"{table}_")
    finally:
        own.commit()
    return ""


def rows(own: psycopg.Connection, table: str) -> list[tuple[Any, ...]]:
    """All rows of a table, ordered."""
    return own.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
