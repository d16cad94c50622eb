"""Which rows refer to a row that does not exist."""

from __future__ import annotations

from uuid import UUID

import pytest

from integrity.audits import Level
from integrity.backends import get_rows
from integrity.models import Embedding
from tests.audits.helpers import an_invocation, audit, execute, ids
from tests.databases import Database

GONE = UUID("00000000-0000-7000-8000-000000000001")


def orphaned(**values: object) -> Embedding:
    """An embedding of an invocation that does not exist, made as if foreign keys were switched off."""
    with get_rows(using="default").foreign_keys_unchecked():
        return Embedding.objects.create(embedding_model="m", invocation_id=GONE, **values)


def test_an_orphan_is_counted_and_named(database: Database) -> None:
    Embedding.objects.create(embedding_model="m", invocation=an_invocation())
    row = orphaned()

    (found,) = audit("orphans")

    assert (found.id, found.level, found.object) == ("integrity.A020", Level.ERROR, "embedding.invocation_id")
    assert found.details["rows"] == 1
    assert UUID(str(found.details["example"])) == row.pk
    assert UUID(str(found.details["missing"])) == GONE


def test_rows_that_refer_to_nothing_are_no_orphans(database: Database) -> None:
    invocation = an_invocation()
    assert invocation.input_invocation_id is None

    assert audit("orphans") == ()


def test_a_foreign_key_that_only_the_model_knows_is_looked_at(database: Database) -> None:
    if database.vendor == "postgresql":
        execute(
            """
            DO $$ DECLARE k record; BEGIN
                FOR k IN SELECT conname FROM pg_constraint WHERE conrelid = 'embedding'::regclass AND contype = 'f'
                LOOP EXECUTE format('ALTER TABLE embedding DROP CONSTRAINT %I', k.conname); END LOOP;
            END $$
            """
        )
        Embedding.objects.create(embedding_model="m", invocation_id=GONE)
    else:
        execute("DROP TABLE embedding")
        execute(
            "CREATE TABLE embedding (id CHAR(32) PRIMARY KEY, started_at DATETIME, completed_at DATETIME, "
            "invocation_id CHAR(32) NOT NULL, embedding_model VARCHAR NOT NULL, vector BLOB)",
            f"INSERT INTO embedding (id, invocation_id, embedding_model) VALUES ('1', '{GONE.hex}', 'm')",
        )

    assert ids(audit("orphans")) == ["A020"]


def test_a_table_that_no_model_describes_is_looked_at_where_it_refers_to_an_audited_one(database: Database) -> None:
    kind = "uuid" if database.vendor == "postgresql" else "CHAR(32)"
    gone = GONE if database.vendor == "postgresql" else GONE.hex
    execute(f'CREATE TABLE "Odd % name" ("the chunk" {kind} REFERENCES file_chunks (id))')
    with get_rows(using="default").foreign_keys_unchecked():
        execute(f"""INSERT INTO "Odd % name" VALUES ('{gone}'), (NULL)""")

    (found,) = audit("orphans")

    assert found.object == "Odd % name.the chunk"
    assert found.details["rows"] == 1
    assert found.details["example"] == ""


def test_a_foreign_key_to_a_table_that_is_gone_is_told(sqlite_database: Database) -> None:
    execute("PRAGMA foreign_keys = OFF", "DROP TABLE course_files")

    assert "integrity.A021" in {finding.id for finding in audit("orphans")}


def test_a_damaged_id_does_not_pass_for_the_id_that_it_was(sqlite_database: Database) -> None:
    execute("PRAGMA foreign_keys = OFF", "DROP TABLE embedding")
    execute(
        "CREATE TABLE embedding (id CHAR(32) PRIMARY KEY, started_at DATETIME, completed_at DATETIME, "
        "invocation_id UUID NOT NULL REFERENCES invocation (id), embedding_model VARCHAR NOT NULL, vector BLOB)"
    )
    an_invocation()
    execute(
        "UPDATE invocation SET id = '01900000000000000000000000000123'",
        "INSERT INTO embedding (id, invocation_id, embedding_model) SELECT '1', id, 'm' FROM invocation",
    )

    (found,) = audit("orphans")

    assert found.object == "embedding.invocation_id"


@pytest.mark.parametrize(
    ("child", "message"),
    [
        ("a text REFERENCES embedding (nope)", "columns that do not exist: embedding (nope)"),
        ("a text, b text, FOREIGN KEY (a, b) REFERENCES embedding", "does not have as many columns"),
    ],
)
def test_a_foreign_key_to_columns_that_are_not_there_is_told_and_the_others_are_looked_at(
    sqlite_database: Database, child: str, message: str
) -> None:
    orphaned()
    execute(f"CREATE TABLE badfk ({child})")

    orphan, bad = audit("orphans")

    assert (orphan.id, bad.id) == ("integrity.A020", "integrity.A021")
    assert message in bad.message
