"""TextArrayField and SearchVectorField."""

from __future__ import annotations

import pytest
from django.core import serializers

from integrity.models import CourseFile, FileChunk, PatternLineageNode
from integrity.models.fields import SearchVectorField, TextArrayField, uuid7
from tests.databases import Database


def a_node(agents: list[str] | None) -> PatternLineageNode:
    return PatternLineageNode.objects.create(
        pattern_id="p",
        pattern_name="n",
        pattern_type="code",
        lineage_id=uuid7(),
        correlation_id=uuid7(),
        pattern_data={},
        used_by_agents=agents,
    )


@pytest.mark.parametrize("agents", [None, [], ["a"], ["with, comma", 'with "quote"', "ünïcode", ""]])
def test_a_list_of_texts_is_read_as_it_was_written(database: Database, agents: list[str] | None) -> None:
    a_node(agents)

    assert PatternLineageNode.objects.get().used_by_agents == agents


def test_a_list_of_texts_is_an_array_on_postgresql(postgres_database: Database) -> None:
    a_node(["a", "b"])

    assert postgres_database.execute("SELECT used_by_agents[2] FROM pattern_lineage_nodes") == [("b",)]


def test_a_list_of_texts_is_json_on_sqlite(sqlite_database: Database) -> None:
    a_node(["a", "b"])

    query = "SELECT json_extract(used_by_agents, '$[1]') FROM pattern_lineage_nodes"
    assert sqlite_database.execute(query) == [("b",)]


@pytest.mark.parametrize("agents", [None, ["a", "b"]])
def test_a_list_of_texts_survives_a_fixture(database: Database, agents: list[str] | None) -> None:
    a_node(agents)
    fixture = serializers.serialize("json", PatternLineageNode.objects.all())
    PatternLineageNode.objects.all().delete()

    for loaded in serializers.deserialize("json", fixture):
        loaded.save()

    assert PatternLineageNode.objects.get().used_by_agents == agents


def test_a_form_shows_and_reads_a_list_as_json() -> None:
    field = TextArrayField().formfield()

    assert field.prepare_value(["a", "b"]) == '["a", "b"]'
    assert field.clean('["a", "b"]') == ["a", "b"]


def test_a_search_vector_is_computed_by_postgresql_and_read_as_text(postgres_database: Database) -> None:
    file = CourseFile.objects.create(course_id=uuid7(), name="f", original_name="f", storage_path="/")
    FileChunk.objects.create(file=file, chunk_index=0, content="The cats sat", search_vector="'dog':1")
    assert FileChunk.objects.get().search_vector == "'dog':1"

    postgres_database.execute("UPDATE file_chunks SET search_vector = to_tsvector('english', content)")

    assert FileChunk.objects.get().search_vector == "'cat':2 'sat':3"


def test_chunks_are_created_in_bulk(database: Database) -> None:
    file = CourseFile.objects.create(course_id=uuid7(), name="f", original_name="f", storage_path="/")

    FileChunk.objects.bulk_create(FileChunk(file=file, chunk_index=n, content="text") for n in range(3))

    assert FileChunk.objects.filter(search_vector=None).count() == 3


def test_migrations_name_these_fields_by_their_package() -> None:
    assert TextArrayField(null=True).deconstruct()[1:] == ("integrity.models.fields.TextArrayField", [], {"null": True})
    assert SearchVectorField().deconstruct()[1:] == ("integrity.models.fields.SearchVectorField", [], {})
