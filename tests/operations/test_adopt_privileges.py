"""AdoptTable on PostgreSQL: roles that may not, and schemas on the search path."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from integrity.models import MirroredTable
from integrity.operations import AdoptionRefused
from tests.databases import Database
from tests.operations.adopting import AS_THE_MODEL_SAYS, Adoption, tables
from tests.operations.owners import build

pytestmark = pytest.mark.postgres


@pytest.fixture
def ours(databases: object) -> Database:
    """A PostgreSQL database that holds our tables only."""
    return databases.migrated("postgresql", "0001")  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def guest(ours: Database) -> Iterator[Callable[[], None]]:
    """Turns Django's connection into a role that may only use our books."""
    role = f"guest_{os.getpid()}"
    ours.execute(f"CREATE ROLE {role}")
    ours.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON integrity_table TO {role}")
    yield lambda: connection.cursor().execute(f"SET ROLE {role}")
    connection.close()
    ours.execute(f"DROP OWNED BY {role}")
    ours.execute(f"DROP ROLE {role}")


def test_a_table_that_may_not_be_read_is_refused(ours: Database, guest: Callable[[], None]) -> None:
    build(ours, f"CREATE TABLE book ({AS_THE_MODEL_SAYS})")
    adoption = Adoption()
    guest()

    with pytest.raises(AdoptionRefused, match="cannot be read: permission denied for table book"):
        adoption.forwards()


def test_a_table_that_may_be_read_and_nothing_else_is_adopted(ours: Database, guest: Callable[[], None]) -> None:
    build(ours, f"CREATE TABLE book ({AS_THE_MODEL_SAYS}); GRANT SELECT ON book TO PUBLIC")
    adoption = Adoption()
    guest()

    record = adoption.forwards()

    assert record is not None
    assert record.origin == "adopted"


def test_a_schema_that_may_not_be_written_to_is_named(ours: Database, guest: Callable[[], None]) -> None:
    adoption = Adoption()
    guest()

    with pytest.raises(AdoptionRefused, match="could not be created: permission denied for schema public"):
        adoption.forwards()


def test_a_table_in_the_first_schema_of_the_search_path_is_adopted(ours: Database) -> None:
    build(ours, "CREATE SCHEMA library", f"CREATE TABLE library.book ({AS_THE_MODEL_SAYS})")
    adoption = Adoption()
    connection.cursor().execute("SET search_path = library, public")

    record = adoption.forwards()

    assert record is not None
    assert record.origin == "adopted"


def test_a_table_in_a_schema_off_the_search_path_is_not_ours_to_see(ours: Database) -> None:
    build(ours, "CREATE SCHEMA library", f"CREATE TABLE library.book ({AS_THE_MODEL_SAYS})")

    Adoption().forwards()

    assert MirroredTable.objects.get(table="book").origin == "created"
    assert "book" in tables()
    assert ours.execute("SELECT count(*) FROM pg_class WHERE relname = 'book'") == [(2,)]
