"""The embeddings of a real database: dirty, previewed, migrated, constrained, reversed, undone."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing

import pytest
from django.db import IntegrityError, connection

from integrity.models import DedupeRun, Embedding
from project.local import CHECKOUT
from tests.commands import CommandResult
from tests.conftest import BOTH, Databases
from tests.databases import Database
from tests.snapshots import snapshot

SAMPLE = CHECKOUT.parent / "shared" / "data" / "panic_tda_before_unique.sqlite"
NAME = "unique_invocation_embedding_model"


@pytest.fixture(params=BOTH)
def sample(request: pytest.FixtureRequest, databases: Databases) -> Database:
    """The sample as its owners have it: on SQLite the file itself, on PostgreSQL its rows."""
    if not SAMPLE.exists():
        pytest.skip(f"the sample database is not at {SAMPLE}")
    if request.param == "sqlite":
        database = databases.empty("sqlite")
        shutil.copyfile(SAMPLE, database.path)
        return database
    database = databases.migrated("postgresql", "0001")
    load(SAMPLE)
    return database


def load(path: object) -> None:
    """Copy all rows of an SQLite file into the default database; foreign keys are not checked there either."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for (table,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = source.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in rows.description]
            marks = ", ".join(["%s"] * len(names))
            columns = ", ".join(f'"{name}"' for name in names)
            if table in connection.introspection.table_names():
                cursor.executemany(f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', rows.fetchall())
        cursor.execute("RESET session_replication_role")


def test_the_sample_from_dirty_to_constrained_and_back(sample: Database, call: Callable[..., CommandResult]) -> None:
    before = snapshot()
    assert len(before["embedding"]) == 326

    migrated = call("migrate", "integrity", "0002")

    assert migrated.code == 0, migrated.err
    assert "removed 25 redundant rows" in migrated.out
    assert Embedding.objects.count() == 301
    assert_refuses_a_duplicate()
    assert_upserts()

    assert call("migrate", "integrity", "0001").code == 0
    run = DedupeRun.objects.get()
    assert call("undo_dedupe", str(run.pk), "--no-input").code == 0
    assert snapshot() == before


def assert_refuses_a_duplicate() -> None:
    """The database itself says no, and names the constraint or its columns."""
    row = Embedding.objects.exclude(vector=None).first()
    assert row is not None
    with pytest.raises(IntegrityError, match=f"{NAME}|embedding.invocation_id, embedding.embedding_model"):
        Embedding.objects.create(invocation_id=row.invocation_id, embedding_model=row.embedding_model)


def assert_upserts() -> None:
    """Django's own upsert finds the constraint."""
    row = Embedding.objects.exclude(vector=None).first()
    assert row is not None
    again = Embedding(
        id=uuid.uuid4(), invocation_id=row.invocation_id, embedding_model=row.embedding_model, vector=row.vector
    )
    Embedding.objects.bulk_create(
        [again],
        update_conflicts=True,
        unique_fields=["invocation", "embedding_model"],
        update_fields=["vector"],
    )
    assert Embedding.objects.count() == 301
