"""What other people's PostgreSQL databases look like."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.db import connection

from integrity.backends import get_rows
from integrity.demo.data import make_dirty_data
from integrity.models import Embedding
from tests.audits.helpers import an_invocation, audit, execute, ids
from tests.conftest import Databases
from tests.databases import Database

GONE = "00000000-0000-7000-8000-000000000001"


@pytest.fixture(autouse=True, params=[pytest.param("postgresql", marks=pytest.mark.postgres)])
def dirty(request: pytest.FixtureRequest, databases: Databases) -> Database:
    """A PostgreSQL database with duplicates, placeholders and an orphan."""
    database = databases.migrated("postgresql", "0001")
    make_dirty_data(using="default")
    return database


@pytest.fixture
def reader(dirty: Database) -> Iterator[str]:
    """The role that Django works as: it may read the owner's tables and nothing else."""
    name = f"reader_{os.getpid()}"
    dirty.execute(f'CREATE ROLE "{name}"')
    dirty.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{name}"')
    execute(f'SET ROLE "{name}"')
    yield name
    connection.close()
    dirty.execute(f'DROP OWNED BY "{name}"')
    dirty.execute(f'DROP ROLE "{name}"')


def test_a_role_that_may_only_read_suffices(reader: str) -> None:
    assert set(ids(audit())) >= {"A001", "A010", "A020", "A030"}


def test_tables_in_another_schema_are_found_by_the_search_path() -> None:
    execute("ALTER SCHEMA public RENAME TO theirs", "CREATE SCHEMA public", "SET search_path = theirs")

    assert set(ids(audit())) >= {"A001", "A010", "A020", "A030"}


def test_a_table_of_another_schema_that_refers_to_ours_is_named_with_its_schema() -> None:
    execute("CREATE SCHEMA notes", "CREATE TABLE notes.annotation (chunk uuid REFERENCES file_chunks (id))")

    (found,) = audit("indexes")

    assert found.object == "notes.annotation.chunk"
    assert ids(audit("orphans")) == ["A020"]


def test_a_partitioned_table_that_refers_to_ours_is_one_reference() -> None:
    execute(
        "CREATE TABLE note (chunk uuid REFERENCES file_chunks (id), part int) PARTITION BY LIST (part)",
        "CREATE TABLE note_1 PARTITION OF note FOR VALUES IN (1)",
    )

    assert [finding.object for finding in audit("indexes")] == ["note.chunk"]


def test_a_foreign_key_that_was_never_validated_is_looked_at() -> None:
    execute(
        "CREATE TABLE note (chunk uuid)",
        f"INSERT INTO note VALUES ('{GONE}')",
        "ALTER TABLE note ADD FOREIGN KEY (chunk) REFERENCES file_chunks (id) NOT VALID",
    )

    assert [finding.object for finding in audit("orphans")] == ["embedding.invocation_id", "note.chunk"]


def test_a_reference_of_another_type_than_its_target_is_compared_all_the_same() -> None:
    with get_rows(using="default").foreign_keys_unchecked():
        Embedding.objects.create(invocation=an_invocation(), embedding_model="m")
    execute(
        """
        DO $$ DECLARE k record; BEGIN
            FOR k IN SELECT conname FROM pg_constraint WHERE conrelid = 'embedding'::regclass AND contype = 'f'
            LOOP EXECUTE format('ALTER TABLE embedding DROP CONSTRAINT %I', k.conname); END LOOP;
        END $$
        """,
        "ALTER TABLE embedding ALTER COLUMN invocation_id TYPE text",
    )

    (found,) = audit("orphans")

    assert found.details["rows"] == 1


def test_a_view_under_the_tables_name_is_told_to_have_no_key() -> None:
    execute("ALTER TABLE embedding RENAME TO embedding_rows", "CREATE VIEW embedding AS SELECT * FROM embedding_rows")

    assert "A061" in ids(audit())
