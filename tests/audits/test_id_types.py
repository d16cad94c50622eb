"""Which columns store some ids as numbers."""

from __future__ import annotations

import pytest

from integrity.audits import Level
from tests.audits.helpers import audit, execute
from tests.databases import Database

SAFE, NUMBER, OVERFLOW = (
    "019000000000700080000000000000ab",
    "01900000000070008000000000000012",
    "0190000000000000000000000000e999",
)


def table_with_ids_of_type(kind: str, *ids: str) -> None:
    """Make ``embeddingcluster`` anew, its ids of this declared type."""
    execute("PRAGMA foreign_keys = OFF", "DROP TABLE embeddingcluster")
    execute(
        f"CREATE TABLE embeddingcluster (id {kind} NOT NULL, embedding_id CHAR(32) NOT NULL, "
        "clustering_result_id CHAR(32) NOT NULL, cluster_id CHAR(32) NOT NULL)",
        *(f"INSERT INTO embeddingcluster VALUES ('{one}', 'a', 'b', 'c')" for one in ids),
    )


def test_a_type_that_damages_ids_warns_before_it_has(sqlite_database: Database) -> None:
    table_with_ids_of_type("UUID", SAFE)

    (found,) = audit("id-types")

    assert (found.id, found.level, found.object) == ("integrity.A050", Level.WARNING, "embeddingcluster.id")


def test_damaged_ids_are_counted(sqlite_database: Database) -> None:
    table_with_ids_of_type("UUID", SAFE, NUMBER, OVERFLOW)

    (found,) = audit("id-types")

    assert (found.id, found.level) == ("integrity.A051", Level.ERROR)
    assert found.details == {"type": "UUID", "damaged": 2}
    assert "2 ids are damaged" in found.message


@pytest.mark.parametrize("kind", ["CHAR(32)", "TEXT", "BLOB", "varchar", ""])
def test_types_that_keep_ids_are_fine(sqlite_database: Database, kind: str) -> None:
    table_with_ids_of_type(kind, SAFE, NUMBER, OVERFLOW)

    assert audit("id-types") == ()


@pytest.mark.parametrize("kind", ["STRING", "NUMERIC", "GUID"])
def test_other_types_that_damage_ids_are_told(sqlite_database: Database, kind: str) -> None:
    table_with_ids_of_type(kind, NUMBER)

    assert [finding.id for finding in audit("id-types")] == ["integrity.A051"]


def test_the_type_uuid_of_postgresql_is_one(postgres_database: Database) -> None:
    assert audit("id-types") == ()
