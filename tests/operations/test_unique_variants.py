"""Every kind of UniqueConstraint comes out as Django's own AddConstraint would have made it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.operations import AddConstraint
from django.db.models import Deferrable, F, Q, UniqueConstraint
from django.db.models.functions import Lower

from integrity.backends import get_catalogue
from integrity.backends.postgresql.definition import unique_indexes
from integrity.operations import AddUniqueConstraintOnline
from tests.databases import Database
from tests.operations.books import Change, book_state, make_table, some_books

VARIANTS: dict[str, dict[str, Any]] = {
    "fields": {"fields": ["isbn", "shelf"]},
    "one field": {"fields": ["isbn"]},
    "other order": {"fields": ["shelf", "isbn"]},
    "condition": {"fields": ["isbn"], "condition": Q(shelf__gt=3) & ~Q(title="50% off")},
    "condition on text": {"fields": ["isbn"], "condition": Q(title__startswith="a_%'b")},
    "include": {"fields": ["isbn"], "include": ["title", "pages"]},
    "operator classes": {"fields": ["isbn", "shelf"], "opclasses": ["varchar_pattern_ops", "int4_ops"]},
    "nulls not distinct": {"fields": ["isbn", "shelf"], "nulls_distinct": False},
    "nulls distinct": {"fields": ["isbn", "shelf"], "nulls_distinct": True},
    "condition, nulls not distinct": {"fields": ["isbn"], "condition": Q(shelf=1), "nulls_distinct": False},
    "include, condition, nulls not distinct": {
        "fields": ["isbn"], "include": ["pages"], "condition": Q(shelf=1), "nulls_distinct": False,
    },
    "deferrable, initially deferred": {"fields": ["isbn", "shelf"], "deferrable": Deferrable.DEFERRED},
    "deferrable, initially immediate": {"fields": ["isbn", "shelf"], "deferrable": Deferrable.IMMEDIATE},
    "deferrable, nulls not distinct": {
        "fields": ["isbn"], "deferrable": Deferrable.DEFERRED, "nulls_distinct": False,
    },
}  # fmt: skip
EXPRESSIONS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "expression": ((Lower("isbn"),), {}),
    "expression and column": ((Lower("isbn"), "shelf"), {}),
    "descending": ((F("isbn").desc(), F("shelf").asc()), {}),
    "expression, condition": ((Lower("isbn"),), {"condition": Q(shelf__isnull=False)}),
    "expression, nulls not distinct": ((Lower("isbn"),), {"nulls_distinct": False}),
    "arithmetic": ((F("shelf") * 1000 + F("pages"),), {}),
}

ALL = {**{name: ((), kwargs) for name, kwargs in VARIANTS.items()}, **EXPRESSIONS}


def make(variant: str, **more: Any) -> UniqueConstraint:
    expressions, kwargs = ALL[variant]
    return UniqueConstraint(*expressions, **{"name": "the_one", **kwargs, **more})


def test_postgresql_holds_what_django_would_have_made(postgres_database: Database, subtests: pytest.Subtests) -> None:
    for variant in ALL:
        with subtests.test(variant):
            make_table("ours")
            make_table("theirs")

            Change(AddUniqueConstraintOnline("book", make(variant)), table="ours").forwards()
            Change(AddConstraint("book", make(variant, name="other")), table="theirs").forwards()

            (ours,) = unique_indexes("ours", connection=connection)
            (theirs,) = unique_indexes("theirs", connection=connection)
            assert (ours.definition, ours.constraint) == (theirs.definition, theirs.constraint)
            assert (ours.name, ours.valid) == (make(variant).name, True)
            assert properties("ours") == properties("theirs")
        drop_tables()


def test_a_session_that_quotes_all_identifiers_gets_the_same(postgres_database: Database) -> None:
    make_table("ours")
    with connection.cursor() as cursor:
        cursor.execute("SET quote_all_identifiers = on")

    Change(AddUniqueConstraintOnline("book", make("fields")), table="ours").forwards()

    assert [index.name for index in unique_indexes("ours", connection=connection)] == ["the_one"]


def properties(table: str) -> list[tuple[Any, ...]]:
    """What the catalogue holds beside the text of the definitions."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT i.indkey::text, i.indclass::text, i.indcollation::text, i.indoption::text, i.indnkeyatts,
                   i.indimmediate, i.indisvalid, i.indisready, i.indnullsnotdistinct, k.condeferrable, k.condeferred
            FROM pg_index i LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'u'
            WHERE i.indrelid = %s::regclass AND NOT i.indisprimary
            """,
            [table],
        )
        return list(cursor.fetchall())


def drop_tables() -> None:
    with connection.cursor() as cursor:
        for table in ("ours", "theirs", "book"):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")


def test_sqlite_holds_what_django_would_have_made(sqlite_database: Database, subtests: pytest.Subtests) -> None:
    for variant in ALL:
        with subtests.test(variant):
            make_table("ours")
            make_table("theirs")

            Change(AddUniqueConstraintOnline("book", make(variant)), table="ours").forwards()
            made = make_as_django("theirs", make(variant, name="other"))

            assert shapes("ours") == shapes("theirs")
            assert bool(shapes("ours")) == made
        drop_tables()


def make_as_django(table: str, constraint: UniqueConstraint) -> bool:
    """Run the statement of Django's AddConstraint as an index: Django itself would rebuild the table."""
    model = book_state(table).apps.get_model("library", "Book")
    with connection.schema_editor() as editor:
        statement: Any = constraint.create_sql(model, editor)
        if statement is not None:
            editor.execute(str(statement), params=None)
    return statement is not None


def shapes(table: str) -> list[str]:
    """The statements of the indexes, without names."""
    found = get_catalogue(using="default").indexes(table)
    return [re.sub(r'INDEX "[^"]*" ON "\w+"', "", index.definition) for index in found if index.definition]


def test_the_columns_in_another_order_are_another_constraint(database: Database) -> None:
    make_table()
    Change(AddUniqueConstraintOnline("book", make("other order", name="of_the_owner"))).forwards()

    Change(AddUniqueConstraintOnline("book", make("fields"))).forwards()

    assert {"of_the_owner", "the_one"} <= {*indexes()}


@pytest.mark.slow
def test_what_an_owner_made_so_is_accepted(database: Database, subtests: pytest.Subtests) -> None:
    for variant in ALL:
        with subtests.test(variant):
            make_table()
            some_books(10)
            Change(AddUniqueConstraintOnline("book", make(variant, name="of_the_owner"))).forwards()
            before = indexes()

            Change(AddUniqueConstraintOnline("book", make(variant))).forwards()

            assert indexes() == before
        drop_tables()


def indexes() -> list[str]:
    return [index.name for index in get_catalogue(using="default").indexes("book")]
