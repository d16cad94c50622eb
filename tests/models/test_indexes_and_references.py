"""Index kinds of each database, and foreign keys under their owners' names."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection

from integrity.models import CourseFile, FileChunk, FileEmbedding, Invocation, PatternQualityMetric
from integrity.models.fields import ForeignKeyConstraint, GinIndex, IvfflatIndex, LongNameIndex, uuid7
from tests.databases import Database


def test_a_name_of_more_than_thirty_characters_passes_the_system_check() -> None:
    names = [index.name for index in Invocation._meta.indexes]

    assert "ix_invocation_input_invocation_id" in names
    assert Invocation.check() == []


def test_gin_is_for_postgresql_alone(database: Database) -> None:
    (index,) = (index for index in PatternQualityMetric._meta.indexes if isinstance(index, GinIndex))

    with connection.schema_editor(collect_sql=True) as editor:
        statement = str(index.create_sql(PatternQualityMetric, editor))

    assert ("USING gin" in statement) == (database.vendor == "postgresql")


def test_ivfflat_is_made_where_the_type_exists_and_else_explained(database: Database) -> None:
    (index,) = FileEmbedding._meta.indexes
    with connection.schema_editor(collect_sql=True) as editor:
        statement = str(index.create_sql(FileEmbedding, editor))

    if FileEmbedding._meta.get_field("embedding").db_type(connection) == "vector(1536)":
        assert "USING ivfflat" in statement
        assert statement.endswith("vector_cosine_ops) WITH (lists = 100)")
    else:
        assert statement.startswith("-- no index file_embeddings_embedding_idx")


@pytest.mark.parametrize(
    "index",
    [
        LongNameIndex(fields=["a"], name="x"),
        GinIndex(fields=["a"], name="x"),
        IvfflatIndex(fields=["a"], name="x", lists=7),
    ],
)
def test_an_index_is_rebuilt_from_what_a_migration_writes(index: LongNameIndex) -> None:
    path, args, kwargs = index.deconstruct()

    assert path == f"integrity.models.fields.{type(index).__name__}"
    assert type(index)(*args, **kwargs) == index
    assert index.clone() == index


def test_a_foreign_key_is_rebuilt_from_what_a_migration_writes() -> None:
    constraint = ForeignKeyConstraint(field="chunk", name="x", on_delete="RESTRICT")
    path, args, kwargs = constraint.deconstruct()

    assert path == "integrity.models.fields.ForeignKeyConstraint"
    assert ForeignKeyConstraint(*args, **kwargs) == constraint
    assert ForeignKeyConstraint(field="chunk", name="x", on_delete="CASCADE") != constraint
    assert hash(constraint.clone()) == hash(constraint)


def a_chunk_embedding(chunk: FileChunk) -> FileEmbedding:
    return FileEmbedding.objects.create(chunk=chunk, embedding=[0.5] * 1536)


def test_the_database_itself_keeps_a_chunk_that_has_embeddings(postgres_database: Database) -> None:
    file = CourseFile.objects.create(course_id=uuid7(), name="f", original_name="f", storage_path="/")
    a_chunk_embedding(FileChunk.objects.create(file=file, chunk_index=0, content="text"))

    with pytest.raises(IntegrityError, match="file_embeddings_chunk_id_fkey"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM file_chunks")

    assert FileEmbedding.objects.exists()


def test_the_database_itself_refuses_an_embedding_without_a_chunk(database: Database) -> None:
    with pytest.raises(IntegrityError):
        a_chunk_embedding(FileChunk(pk=uuid7()))


def test_a_named_foreign_key_can_be_dropped_and_added(postgres_database: Database) -> None:
    (constraint,) = (c for c in FileEmbedding._meta.constraints if isinstance(c, ForeignKeyConstraint))
    query = "SELECT confdeltype::text FROM pg_constraint WHERE conname = 'file_embeddings_chunk_id_fkey'"

    with connection.schema_editor() as editor:
        editor.remove_constraint(FileEmbedding, constraint)
    assert postgres_database.execute(query) == []

    restrict = ForeignKeyConstraint(field="chunk", name=constraint.name, on_delete="RESTRICT")
    with connection.schema_editor() as editor:
        editor.add_constraint(FileEmbedding, restrict)
    assert postgres_database.execute(query) == [("r",)]
