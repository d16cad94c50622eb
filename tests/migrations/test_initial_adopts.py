"""0001_initial on databases that their owners made."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from integrity.models import (
    Embedding,
    EmbeddingCluster,
    FileChunk,
    FileEmbedding,
    MirroredTable,
    PatternQualityMetric,
)
from integrity.models.fields import uuid7
from tests.commands import CommandResult
from tests.databases import Database
from tests.operations.owners import (
    CLUSTERING,
    EMBEDDINGS,
    FILES,
    METRICS,
    METRICS_AS_DEPLOYED_ELSEWHERE,
    PATTERNS,
    build,
)

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "panic_tda_before_unique.sqlite"
OURS = {"django_migrations", "integrity_plan", "integrity_run", "integrity_side_table", "integrity_table"}
ADOPTED = {
    "experimentconfig", "run", "invocation", "embedding", "persistencediagram",
    "clusteringresult", "cluster", "embeddingcluster",
}  # fmt: skip


def migrate(to: str) -> None:
    call_command("migrate", "integrity", to, verbosity=0)


def origins() -> dict[str, str]:
    return dict(MirroredTable.objects.values_list("table", "origin"))


def notes() -> dict[str, list[str]]:
    found = MirroredTable.objects.exclude(origin="absent").values_list("table", "details")
    return {table: details["notes"] for table, details in found if details["notes"]}


def dump(database: Database) -> list[str]:
    """Everything that a SQLite file holds, apart from what we may add."""
    with contextlib.closing(database.connect()) as raw:
        lines = list(raw.iterdump())
    return [line for line in lines if not any(f'"{name}"' in line for name in (*OURS, "sqlite_sequence"))]


def ddl(database: Database) -> list[Any]:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2"
    return [row for row in database.execute(query) if row[2] not in OURS and not row[2].startswith("sqlite_")]


def a_generated_twin(database: Database) -> None:
    build(database, EMBEDDINGS, CLUSTERING)


def the_real_sample(database: Database) -> None:
    if not SAMPLE.exists():
        pytest.skip(f"the sample database is not here: {SAMPLE}")
    shutil.copyfile(SAMPLE, database.path)


@pytest.fixture(params=[a_generated_twin, the_real_sample])
def owners(request: pytest.FixtureRequest, databases: Any) -> Database:
    """A SQLite file with the tables of embeddings and clustering, made without Django."""
    database: Database = databases.empty("sqlite")
    request.param(database)
    return database


@pytest.mark.sqlite
def test_a_database_is_adopted_byte_for_byte_and_gets_our_books_only(owners: Database) -> None:
    before = ddl(owners), dump(owners)

    migrate("0001")

    assert (ddl(owners), dump(owners)) == before
    assert set(connection.introspection.table_names()) == OURS | ADOPTED
    assert {table for table, origin in origins().items() if origin == "adopted"} == ADOPTED
    assert {origin for table, origin in origins().items() if table not in ADOPTED} == {"absent"}
    assert notes() == {}


@pytest.mark.sqlite
def test_reversing_leaves_the_database_as_it_was(owners: Database) -> None:
    before = ddl(owners), dump(owners)
    migrate("0001")

    migrate("zero")

    assert (ddl(owners), dump(owners)) == before
    assert set(connection.introspection.table_names()) == {"django_migrations"} | ADOPTED


@pytest.mark.sqlite
def test_the_real_vectors_are_read(databases: Any) -> None:
    the_real_sample(databases.empty("sqlite"))

    migrate("0001")

    vectors = list(Embedding.objects.values_list("vector", flat=True))
    assert len(vectors) == 326
    assert {vector.shape for vector in vectors if vector is not None} == {(768,)}
    assert EmbeddingCluster.objects.select_related("cluster__clustering_result").count() == 325


@pytest.mark.sqlite
def test_in_the_runnable_site_no_table_of_django_joins_the_owners(owners: Database) -> None:
    result = owners.manage("migrate", env={"SITE_DATABASE_URL": ""})

    assert result.returncode == 0, result.stderr
    found = set(connection.introspection.table_names()) - ADOPTED
    assert {table for table in found if not table.startswith("integrity_")} == {"django_migrations"}


@pytest.mark.sqlite
def test_the_site_database_gets_neither_tables_nor_a_report(owners: Database, tmp_path: Path) -> None:
    site = tmp_path / "site.sqlite"

    result = owners.manage("migrate", "--database", "site", env={"SITE_DATABASE_URL": f"sqlite:///{site}"})

    assert (result.returncode, result.stderr) == (0, "")
    assert "Adopted" not in result.stdout
    query = "SELECT name FROM sqlite_master WHERE name LIKE 'integrity_%' OR name = 'embedding'"
    assert Database(vendor="sqlite", url=f"sqlite:///{site}").execute(query) == []


def test_the_same_tables_are_adopted_on_either_database(empty_database: Database) -> None:
    build(empty_database, EMBEDDINGS, CLUSTERING)

    migrate("0001")

    assert {table for table, origin in origins().items() if origin == "adopted"} == ADOPTED
    assert notes() == {}


@pytest.mark.sqlite
def test_ids_declared_uuid_are_adopted_with_a_warning_of_the_danger(databases: Any) -> None:
    build(databases.empty("sqlite"), EMBEDDINGS, CLUSTERING.replace("CHAR(32)", "UUID"))

    migrate("0001")

    found = notes()
    assert set(found) == {"clusteringresult", "cluster", "embeddingcluster"}
    assert [note.partition(":")[0] for note in found["embeddingcluster"]] == [
        "id",
        "embedding_id",
        "clustering_result_id",
        "cluster_id",
    ]
    assert all("are stored as REAL or Inf and lost" in note for note in found["embeddingcluster"])


def test_pattern_metrics_are_adopted(empty_database: Database) -> None:
    build(empty_database, PATTERNS, METRICS)

    migrate("0001")

    assert origins()["pattern_quality_metrics"] == origins()["pattern_lineage_nodes"] == "adopted"
    assert {table for table in notes() if table != "pattern_lineage_nodes"} <= (
        set() if empty_database.vendor == "postgresql" else {"pattern_quality_metrics"}
    )


def test_pattern_metrics_are_adopted_as_they_are_deployed_elsewhere(empty_database: Database) -> None:
    build(empty_database, PATTERNS, METRICS_AS_DEPLOYED_ELSEWHERE)

    migrate("0001")

    found = notes()["pattern_quality_metrics"]
    assert origins()["pattern_quality_metrics"] == "adopted"
    assert any(note.startswith("updated_at: the column is missing") for note in found)
    assert any(note.startswith("measurement_timestamp: the database has no default") for note in found)
    assert any("to pattern_lineage_nodes is unknown to the model" in note for note in found)


def test_metrics_can_be_read_without_the_column_that_is_missing_elsewhere(empty_database: Database) -> None:
    build(
        empty_database,
        PATTERNS,
        METRICS_AS_DEPLOYED_ELSEWHERE.replace("REFERENCES pattern_lineage_nodes (id)", "").replace(
            "ON DELETE CASCADE", ""
        ),
    )
    migrate("0001")
    key, pattern = (uuid7() for _ in range(2))
    empty_database.execute(
        "INSERT INTO pattern_quality_metrics (id, pattern_id, quality_score, confidence, measurement_timestamp) "
        f"VALUES ('{key.hex}', '{pattern.hex}', 0.5, 0.25, '2025-01-01 00:00:00+00')"
    )

    metric = PatternQualityMetric.objects.get()
    metric.quality_score = 0.75
    metric.save()

    assert PatternQualityMetric.objects.filter(pattern_id=pattern, quality_score=0.75).count() == 1


def test_files_are_adopted(empty_database: Database) -> None:
    build(empty_database, FILES)

    migrate("0001")

    assert {table for table, origin in origins().items() if origin == "adopted"} == {
        "course_files",
        "file_chunks",
        "file_embeddings",
    }
    assert not FileEmbedding.objects.exists()
    assert not FileChunk.objects.filter(file__status="completed").exists()
    if empty_database.vendor == "postgresql":
        assert notes()["course_files"] == ["status: the type is the enum file_status: only its labels can be written."]


@pytest.mark.parametrize("vendor", ["postgresql", "sqlite"])
def test_migrate_ends_with_one_clear_message_and_changes_nothing(
    databases: Any, call: Callable[..., CommandResult], vendor: str
) -> None:
    database: Database = databases.empty(vendor)
    build(database, EMBEDDINGS.replace("vector BLOB,", ""), CLUSTERING.replace("size INTEGER NOT NULL,", ""))
    before = set(connection.introspection.table_names())

    result = database.manage("migrate", "integrity")

    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert 'The table "embedding" cannot be adopted; nothing in it was changed.' in result.stderr
    assert 'vector: the column is missing. Add it with ALTER TABLE "embedding" ADD COLUMN "vector"' in result.stderr
    assert set(connection.introspection.table_names()) - {"django_migrations"} == before
    assert call("showmigrations", "integrity", "--plan").out.splitlines()[0] == "[ ]  integrity.0001_initial"


def test_migrate_says_what_it_adopted_and_what_it_left_out(
    empty_database: Database, call: Callable[..., CommandResult]
) -> None:
    build(empty_database, EMBEDDINGS.replace("vector BLOB,", "vector BLOB, note VARCHAR,"), CLUSTERING)

    out = call("migrate", "integrity", "0001").out

    assert "  Adopted as they are, nothing changed: experimentconfig, run, invocation, embedding," in out
    assert "    embedding: note: the model does not know this column" in out
    assert "  Left out: pattern_lineage_nodes, pattern_quality_metrics, workflow_executions, course_files," in out
    assert "    not created: this database holds somebody else's tables (cluster, clusteringresult, embedding" in out
    assert call("migrate", "integrity", "0001", "-v0").out == ""


def test_migrate_says_nothing_of_tables_that_it_created(
    empty_database: Database, call: Callable[..., CommandResult]
) -> None:
    out = call("migrate", "integrity", "0001").out

    assert "Adopted" not in out
    assert "Left out" not in out
