"""What Django's IntegrityErrors mean, on both databases."""

from __future__ import annotations

import pickle
import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import IntegrityError, connection, transaction

from integrity.backends.postgresql.violations import key_of
from integrity.models import CourseFile, FileChunk, PatternLineageNode, PatternQualityMetric
from integrity.writes import (
    CheckFailed,
    ConstraintViolated,
    DuplicateKey,
    MissingReference,
    NullNotAllowed,
    explain,
    typed_errors,
)
from tests.databases import Database


def a_node(**kwargs: object) -> PatternLineageNode:
    return PatternLineageNode(
        **{
            "pattern_id": "p-1",
            "pattern_name": "retry",
            "pattern_type": "code",
            "lineage_id": uuid.uuid4(),
            "pattern_data": {},
            "correlation_id": uuid.uuid4(),
            **kwargs,
        }
    )


def a_metric(**kwargs: object) -> PatternQualityMetric:
    return PatternQualityMetric(**{"pattern_id": uuid.uuid4(), "quality_score": 0.5, "confidence": 0.5, **kwargs})


def test_a_duplicate_key_names_constraint_model_and_fields(database: Database) -> None:
    a_node().save()

    with pytest.raises(DuplicateKey) as caught, typed_errors():
        a_node().save()

    assert caught.value.constraint == "unique_pattern_lineage_version"
    assert caught.value.model is PatternLineageNode
    assert caught.value.fields == ("pattern_id", "pattern_version")
    assert isinstance(caught.value.__cause__, IntegrityError)


def test_postgresql_tells_the_values_of_a_duplicate_key(postgres_database: Database) -> None:
    a_node(pattern_id="it's (odd)=(x)").save()

    with pytest.raises(DuplicateKey) as caught, typed_errors():
        a_node(pattern_id="it's (odd)=(x)").save()

    assert caught.value.values == {"pattern_id": "it's (odd)=(x)", "pattern_version": "1.0.0"}
    assert "pattern_id = it's (odd)=(x)" in str(caught.value)


def test_a_value_with_a_comma_leaves_the_values_of_a_composite_key_open(postgres_database: Database) -> None:
    a_node(pattern_id="a, b").save()

    with pytest.raises(DuplicateKey) as caught, typed_errors():
        a_node(pattern_id="a, b").save()

    assert caught.value.fields == ("pattern_id", "pattern_version")
    assert caught.value.values == {}


def test_a_unique_field_is_named(database: Database) -> None:
    Group.objects.create(name="one")

    with pytest.raises(DuplicateKey) as caught, typed_errors():
        Group.objects.create(name="one")

    assert (caught.value.model, caught.value.fields) == (Group, ("name",))


def test_a_primary_key_is_named(database: Database) -> None:
    Session.objects.create(session_key="k", expire_date="2030-01-01T00:00:00Z")

    with pytest.raises(DuplicateKey) as caught, typed_errors():
        Session(session_key="k", expire_date="2030-01-01T00:00:00Z").save(force_insert=True)

    assert (caught.value.model, caught.value.fields) == (Session, ("session_key",))


def test_a_missing_reference_that_shows_at_commit_is_typed(database: Database) -> None:
    with pytest.raises(MissingReference) as caught, typed_errors(), transaction.atomic():
        FileChunk.objects.create(file_id=uuid.UUID(int=7), chunk_index=0, content="x")

    if database.vendor == "postgresql":
        assert (caught.value.model, caught.value.fields) == (FileChunk, ("file",))
        assert caught.value.values == {"file": str(uuid.UUID(int=7))}


def test_a_row_that_others_point_at_is_told_by_the_field_that_points(postgres_database: Database) -> None:
    file = CourseFile.objects.create(course_id=uuid.uuid4(), name="n", original_name="n", storage_path="s")
    FileChunk.objects.create(file=file, chunk_index=0, content="text")

    with pytest.raises(MissingReference) as caught, typed_errors(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM course_files")

    assert (caught.value.model, caught.value.fields) == (FileChunk, ("file",))
    assert caught.value.values == {"file": str(file.pk)}


def test_a_row_that_several_fields_may_point_at_is_told_by_the_constraint_alone(postgres_database: Database) -> None:
    user, kind = User.objects.create(username="u"), ContentType.objects.get_for_model(Group)
    LogEntry.objects.create(user=user, content_type=kind, object_repr="", action_flag=1)

    with pytest.raises(MissingReference) as caught, typed_errors(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM auth_user")

    assert (caught.value.model, caught.value.fields, caught.value.values) == (LogEntry, (), {})
    assert caught.value.constraint


def test_a_failed_check_names_constraint_and_field(database: Database) -> None:
    with pytest.raises(CheckFailed) as caught, typed_errors():
        a_metric(quality_score=1.5).save()

    assert caught.value.constraint == "pattern_quality_metrics_quality_score_check"
    assert (caught.value.model, caught.value.fields) == (PatternQualityMetric, ("quality_score",))
    if database.vendor == "postgresql":
        assert caught.value.values == {"quality_score": "1.5"}


def test_a_missing_value_names_the_field(database: Database) -> None:
    with pytest.raises(NullNotAllowed) as caught, typed_errors():
        a_metric(confidence=None).save()

    assert (caught.value.model, caught.value.fields) == (PatternQualityMetric, ("confidence",))


def test_inside_a_transaction_the_constraint_is_told_all_the_same(postgres_database: Database) -> None:
    with pytest.raises(CheckFailed) as caught, transaction.atomic(), typed_errors():
        a_metric(quality_score=1.5).save()

    assert caught.value.fields == ("quality_score",)


def test_a_table_of_no_model_is_named_by_its_columns(database: Database) -> None:
    database.execute('CREATE TABLE "Odd Table" ("An id" integer UNIQUE)')

    with pytest.raises(DuplicateKey) as caught, typed_errors(), connection.cursor() as cursor:
        cursor.execute('INSERT INTO "Odd Table" VALUES (1), (1)')

    assert caught.value.model is None
    assert caught.value.violated.table == "Odd Table"
    assert caught.value.fields == ("An id",)


def test_an_unusual_kind_is_still_an_error_of_ours(postgres_database: Database) -> None:
    postgres_database.execute("CREATE TABLE booking (during int4range, EXCLUDE USING gist (during WITH &&))")

    with pytest.raises(ConstraintViolated) as caught, typed_errors(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO booking VALUES ('[1,3]'), ('[2,4]')")

    assert caught.value.constraint == "booking_during_excl"


def test_typed_errors_are_integrity_errors_and_survive_pickling(database: Database) -> None:
    User.objects.create(username="a")

    with pytest.raises(IntegrityError) as caught, typed_errors():
        User.objects.create(username="a")
    assert isinstance(caught.value, DuplicateKey)
    again: ConstraintViolated = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes

    assert (type(again), str(again), again.violated) == (DuplicateKey, str(caught.value), caught.value.violated)
    assert explain(caught.value) is caught.value


def test_other_errors_pass_untouched(database: Database) -> None:
    with pytest.raises(KeyError), typed_errors():
        raise KeyError("mine")


@pytest.mark.parametrize(
    "detail",
    [
        "Key (a, b)=(1, x) already exists.",
        "Schlüssel »(a, b)=(1, x)« existiert bereits.",
        "La clé « (a, b)=(1, x) » existe déjà.",
        "キー (a, b)=(1, x) はすでに存在します。",
    ],
)
def test_the_servers_language_does_not_matter(detail: str) -> None:
    assert key_of(detail) == (("a", "b"), ("1", "x"))
