"""PgVectorField: pgvector's type where there is one, an array or bytes elsewhere; numpy in all three."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from django.core import serializers
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from integrity.models import CourseFile, FileChunk, FileEmbedding
from integrity.models.fields import InvalidVector, PgVectorField, uuid7
from tests.databases import Database

VECTOR = np.linspace(-1, 1, 1536, dtype=np.float32)


def a_chunk() -> FileChunk:
    file = CourseFile.objects.create(course_id=uuid7(), name="f", original_name="f", storage_path="/")
    return FileChunk.objects.create(file=file, chunk_index=0, content="text")


def turn_into_an_array(database: Database) -> None:
    database.execute("DROP INDEX IF EXISTS file_embeddings_embedding_idx")
    database.execute("ALTER TABLE file_embeddings ALTER embedding TYPE real[] USING embedding::real[]")


def assert_goes_through_unchanged() -> None:
    chunk = a_chunk()
    FileEmbedding.objects.bulk_create(
        FileEmbedding(chunk=chunk, model_version=version, embedding=VECTOR) for version in ("a", "b")
    )
    changed = FileEmbedding.objects.get(model_version="b")
    changed.embedding = -VECTOR
    changed.save()
    FileEmbedding.objects.bulk_update([changed], ["embedding"])

    found = {row.model_version: row.embedding for row in FileEmbedding.objects.all()}
    assert found["a"].dtype == np.float32
    assert found["a"].tobytes() == VECTOR.tobytes()
    assert found["b"].tobytes() == (-VECTOR).tobytes()


def test_a_vector_goes_through_either_database_unchanged(database: Database) -> None:
    assert_goes_through_unchanged()


def test_a_vector_goes_through_an_array_column_unchanged(postgres_database: Database) -> None:
    turn_into_an_array(postgres_database)

    assert_goes_through_unchanged()


def test_the_type_is_an_array_until_the_database_has_a_type_vector(databases: Any) -> None:
    field = FileEmbedding._meta.get_field("embedding")
    database = databases.empty("postgresql")
    assert field.db_type(connection) == "real[]"

    database.execute("CREATE DOMAIN vector AS text")

    assert field.db_type(connection) == "vector(1536)"


def test_a_stored_value_of_the_wrong_length_is_read(sqlite_database: Database) -> None:
    row = FileEmbedding.objects.create(chunk=a_chunk(), embedding=VECTOR)
    sqlite_database.execute("UPDATE file_embeddings SET embedding = X'dead'")

    row.refresh_from_db()

    assert row.embedding == b"\xde\xad"


def test_a_vector_survives_a_fixture(database: Database) -> None:
    FileEmbedding.objects.create(chunk=a_chunk(), embedding=VECTOR)
    fixture = serializers.serialize("json", FileEmbedding.objects.all())
    FileEmbedding.objects.all().delete()

    for loaded in serializers.deserialize("json", fixture):
        loaded.save()

    assert FileEmbedding.objects.get().embedding.tobytes() == VECTOR.tobytes()


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3))
def test_each_of_the_three_stored_forms_reads_the_same(numbers: list[float]) -> None:
    field = PgVectorField(dimensions=3)

    forms = (numbers, str(numbers), struct.pack("<3f", *numbers))

    found: list[Any] = [field.from_db_value(form, None, connection) for form in forms]
    assert [vector.tolist() for vector in found] == [numbers] * 3


@pytest.mark.parametrize("value", [[1, 2], [1, 2, float("inf")], ["1", "2", "3"]])
def test_what_is_no_vector_is_refused(value: list[object]) -> None:
    with pytest.raises(InvalidVector):
        PgVectorField(dimensions=3).get_prep_value(value)


def test_migrations_name_the_field_by_its_package_and_its_dimensions() -> None:
    _, path, args, kwargs = PgVectorField(dimensions=3).deconstruct()

    assert (path, args, kwargs) == ("integrity.models.fields.PgVectorField", [], {"dimensions": 3})
