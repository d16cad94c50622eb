"""Which column types can stand for which fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models

from integrity.backends.sqlite.types import affinity
from integrity.backends.types import compare_type
from integrity.models.fields import NaiveDateTimeField, PgVectorField, TextArrayField, VectorField
from tests.databases import Database

ID = models.UUIDField()
PARENT = models.ForeignKey("integrity.Embedding", models.DO_NOTHING)
TEXT = models.TextField()
SHORT = models.CharField(max_length=20)
WHOLE = models.IntegerField()
REAL = models.FloatField()
EXACT = models.DecimalField(max_digits=3, decimal_places=2)
FLAG = models.BooleanField()
MOMENT = models.DateTimeField()
NAIVE = NaiveDateTimeField()
JSON = models.JSONField()
BYTES = VectorField()
LIST = TextArrayField()
PGVECTOR = PgVectorField(dimensions=3)

SAME = ""
NEVER = None


def remark(field: models.Field[Any, Any], found: str) -> str | None:
    """What is said of a type that works; None for one that does not."""
    match = compare_type(field=field, found=found, using="default")
    assert match.fits or match.remark
    return match.remark if match.fits else NEVER


@pytest.fixture
def on(databases: Any) -> Callable[[str], Database]:
    return lambda vendor: databases.migrated(vendor)


@pytest.mark.postgres
def test_postgresql_compares_by_family(on: Callable[[str], Database]) -> None:
    on("postgresql")
    field = models.ForeignKey("integrity.Embedding", models.DO_NOTHING)

    assert remark(ID, "uuid") == SAME
    assert remark(ID, "character varying(32)") is NEVER
    assert remark(ID, "text") is NEVER
    assert remark(ID, "bytea") is NEVER
    assert remark(SHORT, "character varying(20)") == SAME
    assert remark(SHORT, "character varying(50)") == "the type is character varying(50), the model says varchar(20)"
    assert remark(TEXT, "character varying(50)") == "the type is character varying(50), the model says text"
    assert remark(TEXT, "uuid") is NEVER
    assert remark(WHOLE, "bigint") == "the type is bigint, the model says integer"
    assert remark(WHOLE, "numeric") is NEVER
    assert remark(REAL, "numeric(5,4)") == "the type is numeric(5,4), the model says double precision"
    assert remark(EXACT, "numeric(3,2)") == SAME
    assert remark(FLAG, "integer") is NEVER
    assert remark(NAIVE, "timestamp without time zone") == SAME
    assert remark(MOMENT, "timestamp with time zone") == SAME
    assert "without a time zone" in (remark(MOMENT, "timestamp without time zone") or "")
    assert "read in UTC" in (remark(NAIVE, "timestamp(3) with time zone") or "")
    assert remark(MOMENT, "date") is NEVER
    assert "json has no equality" in (remark(JSON, "json") or "")
    assert remark(JSON, "text") is NEVER
    assert remark(BYTES, "bytea") == SAME
    assert remark(BYTES, "real[]") is NEVER
    assert remark(LIST, "text[]") == SAME
    assert remark(LIST, "character varying(20)[]") == "the type is character varying(20)[], the model says text[]"
    assert remark(LIST, "jsonb") is NEVER
    assert remark(PGVECTOR, "double precision[]") not in (SAME, NEVER)
    assert remark(PGVECTOR, "extensions.vector(3)") not in (NEVER,)
    assert field.name is None


@pytest.mark.postgres
def test_an_enum_serves_as_text(on: Callable[[str], Database]) -> None:
    on("postgresql").execute("CREATE TYPE mood AS ENUM ('good')")

    assert remark(SHORT, "mood") == "the type is the enum mood: only its labels can be written"
    assert remark(WHOLE, "mood") is NEVER
    assert remark(SHORT, "no_such_type") is NEVER


@pytest.mark.sqlite
@pytest.mark.parametrize("declared", ["CHAR(32)", "VARCHAR", "TEXT", "varchar(36)", "CLOB"])
def test_sqlite_ids_are_safe_in_text(on: Callable[[str], Database], declared: str) -> None:
    on("sqlite")

    assert remark(ID, declared) == SAME


@pytest.mark.sqlite
@pytest.mark.parametrize("declared", ["UUID", "uuid", "NUMERIC", "DECIMAL(32)", "STRING"])
def test_sqlite_ids_in_a_numeric_column_are_in_danger(on: Callable[[str], Database], declared: str) -> None:
    on("sqlite")

    assert "NUMERIC affinity, so that ids whose hex digits look like a number are stored as REAL or Inf" in (
        remark(ID, declared) or ""
    )


@pytest.mark.sqlite
def test_a_foreign_key_holds_what_its_target_does(sqlite_database: Database) -> None:
    from integrity.models import EmbeddingCluster

    key = EmbeddingCluster._meta.get_field("embedding")

    assert remark(key, "CHAR(32)") == SAME
    assert "ids whose hex digits" in (remark(key, "UUID") or "")
    assert remark(key, "INTEGER") is NEVER


@pytest.mark.sqlite
def test_sqlite_compares_by_affinity(on: Callable[[str], Database]) -> None:
    on("sqlite")

    assert "ids must be 32 hex digits there, not 16 bytes" in (remark(ID, "BLOB") or "")
    assert "the declared type is missing, the model says char(32)" in (remark(ID, "") or "")
    assert remark(ID, "INTEGER") is NEVER
    assert remark(TEXT, "VARCHAR(5)") == SAME
    assert remark(TEXT, "BLOB") == "the declared type is BLOB, the model says text"
    assert "texts that look like a number" in (remark(TEXT, "STRING") or "")
    assert remark(TEXT, "INTEGER") is NEVER
    assert remark(WHOLE, "BIGINT") == SAME
    assert remark(models.BigIntegerField(), "NUMERIC") == SAME
    assert remark(WHOLE, "TEXT") is NEVER
    assert remark(REAL, "DOUBLE") == SAME
    assert remark(REAL, "INTEGER") == "the declared type is INTEGER, the model says real"
    assert remark(REAL, "TEXT") is NEVER
    assert remark(FLAG, "BOOLEAN") == SAME
    assert remark(FLAG, "TINYINT") == SAME
    assert remark(FLAG, "VARCHAR") is NEVER
    assert remark(NAIVE, "TIMESTAMP") == SAME
    assert remark(MOMENT, "TEXT") == SAME
    assert remark(MOMENT, "INTEGER") is NEVER
    assert remark(JSON, "JSON") == SAME
    assert remark(JSON, "TEXT") == SAME
    assert remark(BYTES, "BLOB") == SAME
    assert remark(BYTES, "TEXT") == "the declared type is TEXT, the model says BLOB"


@pytest.mark.sqlite
@pytest.mark.parametrize("declared", ["UUID", "CHAR(32)", "TEXT", "BLOB", "JSON", "DATETIME", "FLOAT", "CHARINT", ""])
def test_affinity_is_the_one_that_sqlite_applies(sqlite_database: Database, declared: str) -> None:
    sqlite_database.execute(f"CREATE TABLE probe (value {declared})")
    sqlite_database.execute("INSERT INTO probe VALUES ('12'), (12)")

    found = [kind for (kind,) in sqlite_database.execute("SELECT typeof(value) FROM probe")]

    assert (
        found
        == {
            "TEXT": ["text", "text"],
            "BLOB": ["text", "integer"],
            "NUMERIC": ["integer", "integer"],
            "INTEGER": ["integer", "integer"],
            "REAL": ["real", "real"],
        }[affinity(declared)]
    )
