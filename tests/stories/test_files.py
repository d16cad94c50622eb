"""Files: every chunk twice, and only one of the two embedded."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection

from integrity.backends import get_catalogue
from tests.operations.owners import FILES
from tests.snapshots import snapshot
from tests.stories.conftest import Owned
from tests.stories.telling import Call, assert_refused, column, indexes, migrate, put, undo_everything, unique_keys

pytestmark = pytest.mark.slow


NEW_COLUMNS = {"version", "is_active", "archived_at"}


def columns() -> set[str]:
    return {c.name for c in get_catalogue(using="default").columns("file_chunks")}


def chunk(file: str, index: int, *, content: str = "text") -> dict[str, Any]:
    identity = uuid.UUID(file) if connection.vendor == "sqlite" else file
    return {"file_id": identity, "chunk_index": index, "content": content}


def embed(chunk_id: str) -> str:
    kind = next(c.type for c in get_catalogue(using="default").columns("file_embeddings") if c.name == "embedding")
    vector: Any = b"\0" * 6144
    if kind.startswith("vector"):
        vector = "[" + ",".join(["0.5"] * 1536) + "]"
    elif kind.endswith("[]"):
        vector = [0.5] * 1536
    return put("file_embeddings", chunk_id=uuid.UUID(chunk_id), embedding=vector, model_version="m")


def test_from_dirty_to_constrained_and_back(owned: Owned, call: Call) -> None:
    owned(FILES)
    file = put("course_files", course_id=uuid.uuid4(), name="a", original_name="a", storage_path="/a")
    embedded = []
    for index in range(5):
        put("file_chunks", **chunk(file, index, content="not embedded"))
        second = put("file_chunks", **chunk(file, index, content="embedded"))
        embed(second)
        embedded.append(second)
    before = snapshot()

    assert "removed 5 redundant rows" in migrate(call, "0008")

    assert sorted(map(str, column("file_chunks", "id"))) == sorted(embedded)
    assert column("file_chunks", "version") == [1] * 5
    assert [bool(value) for value in column("file_chunks", "is_active")] == [True] * 5
    assert {"unique_file_version_chunk", "idx_file_chunks_active"} <= indexes("file_chunks")
    assert len(column("file_embeddings", "id")) == 5
    assert_refused("file_chunks", **chunk(file, 3))
    put("file_chunks", **chunk(file, 3), version=2)
    if connection.vendor == "postgresql":
        (key,) = get_catalogue(using="default").foreign_keys("file_embeddings")
        assert (key.name, key.on_delete, key.validated) == ("file_embeddings_chunk_id_fkey", "RESTRICT", True)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM file_chunks WHERE version = 2")

    migrate(call, "0007")
    assert not columns() & NEW_COLUMNS
    undo_everything(call)
    assert snapshot() == before
    if connection.vendor == "postgresql":
        (key,) = get_catalogue(using="default").foreign_keys("file_embeddings")
        assert key.on_delete == "CASCADE"


def test_the_uniqueness_of_embeddings_is_made_sure_of_where_it_is_missing(owned: Owned, call: Call) -> None:
    database = owned(FILES)
    if connection.vendor == "sqlite":
        return  # it stands in CREATE TABLE, where nobody can have dropped it
    database.execute("ALTER TABLE file_embeddings DROP CONSTRAINT unique_chunk_embedding")

    migrate(call, "0008")

    assert ("chunk_id", "model_version") in unique_keys("file_embeddings")
