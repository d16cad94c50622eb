"""0001_initial on a database of our own: every table as its owners have it, and back again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.db.migrations.loader import MigrationLoader

from integrity.backends import get_catalogue
from integrity.models import MirroredTable
from integrity.models.fields import uuid7
from tests.commands import CommandResult
from tests.databases import Database
from tests.migrations import expected

BOOKS = {"integrity_plan", "integrity_run", "integrity_side_table", "integrity_table"}
SYSTEMS = {
    "embeddings": {"experimentconfig", "run", "invocation", "embedding", "persistencediagram"},
    "clustering": {"clusteringresult", "cluster", "embeddingcluster"},
    "patterns": {"pattern_quality_metrics", "pattern_lineage_nodes"},
    "workflows": {"workflow_executions"},
    "files": {"course_files", "file_chunks", "file_embeddings"},
}
Call = Callable[..., CommandResult]


@pytest.fixture
def fresh(database_at: Callable[[str], Database]) -> Database:
    """A database of our own, at the first migration."""
    return database_at("0001")


def migrate(to: str) -> None:
    call_command("migrate", "integrity", to, verbosity=0)


def tables() -> set[str]:
    return set(connection.introspection.table_names()) - {"django_migrations"}


def constraints(table: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        return {**connection.introspection.get_constraints(cursor, table)}


def of_each_table(ask: Callable[[str], Any]) -> dict[str, Any]:
    """Ask the same of every mirrored table, and leave out the empty answers."""
    return {table: answer for table in expected.COLUMNS if (answer := ask(table))}


def test_the_columns_are_the_owners(fresh: Database) -> None:
    case: Callable[[str], str] = str.upper if fresh.vendor == "sqlite" else str
    catalogue = get_catalogue(using="default")

    found = of_each_table(lambda t: [(c.name, case(c.type), c.nullable) for c in catalogue.columns(t)])

    wanted = of_each_table(lambda t: [(n, case(kind), null) for n, kind, null in expected.columns(t, fresh.vendor)])
    if fresh.vendor == "postgresql":
        has_vector = fresh.execute("SELECT to_regtype('vector') IS NOT NULL") == [(True,)]
        wanted["file_embeddings"][2] = ("embedding", "vector(1536)" if has_vector else "real[]", False)
    assert found == wanted


def test_the_primary_key_is_the_id(fresh: Database) -> None:
    catalogue = get_catalogue(using="default")

    assert of_each_table(catalogue.primary_key) == dict.fromkeys(expected.COLUMNS, ("id",))


def test_the_indexes_are_the_owners(fresh: Database) -> None:
    catalogue = get_catalogue(using="default")

    found = of_each_table(lambda t: {i.name: i.columns[0] for i in catalogue.indexes(t) if not i.constraint})

    found.pop("file_embeddings", None)  # ivfflat, where pgvector is: see below
    assert found == expected.INDEXES


def test_the_unique_constraints_are_the_owners(fresh: Database) -> None:
    def unique(table: str) -> dict[str, list[str]]:
        found = constraints(table).items()
        return {name: c["columns"] for name, c in found if c["unique"] and not c["primary_key"]}

    assert of_each_table(unique) == expected.UNIQUE


def test_the_foreign_keys_are_the_owners(fresh: Database) -> None:
    keys = of_each_table(get_catalogue(using="default").foreign_keys)

    assert {t: {k.columns[0]: k.target_table for k in keys[t]} for t in keys} == expected.FOREIGN_KEYS
    (cascading,) = keys.pop("file_embeddings")
    assert cascading.on_delete == "CASCADE"
    assert cascading.name == ("file_embeddings_chunk_id_fkey" if fresh.vendor == "postgresql" else None)
    assert {key.on_delete for found in keys.values() for key in found} == {"NO ACTION"}


def test_the_checks_are_the_owners(fresh: Database) -> None:
    def checks(table: str) -> set[str]:
        found = constraints(table).items()
        return {name for name, c in found if c["check"] and not name.startswith("__") and not c["unique"]}

    wanted = {t: {f"{t}_{column}_check" for column in found} for t, found in expected.CHECKS.items()}
    assert of_each_table(checks) == wanted


def test_descending_indexes_descend(fresh: Database) -> None:
    orders = {name: c["orders"] for name, c in constraints("pattern_quality_metrics").items() if c["index"]}

    assert orders["idx_pattern_quality_metrics_quality_score"] == ["DESC"]
    assert orders["idx_pattern_quality_metrics_measurement_timestamp"] == ["DESC"]
    assert orders["idx_pattern_quality_metrics_pattern_id"] == ["ASC"]


def test_metadata_has_a_gin_index(databases: Any) -> None:
    databases.migrated("postgresql", "0001")

    assert constraints("pattern_quality_metrics")["idx_pattern_quality_metrics_metadata"]["type"] == "gin"


def test_the_database_has_the_owners_defaults(fresh: Database) -> None:
    fresh.execute(
        "INSERT INTO pattern_quality_metrics (pattern_id, quality_score, confidence) "
        f"VALUES ('{uuid7().hex}', 0.5, 0.5)"
    )

    query = """
        SELECT id IS NOT NULL, measurement_timestamp IS NOT NULL, version, CAST(metadata AS text),
               created_at IS NOT NULL, updated_at IS NOT NULL FROM pattern_quality_metrics
    """
    assert fresh.execute(query) == [(True, True, "1.0.0", "{}", True, True)]


@pytest.mark.parametrize(("score", "confidence"), [(1.01, 0.5), (-0.01, 0.5), (0.5, 2)])
def test_scores_stay_between_zero_and_one(fresh: Database, score: float, confidence: float) -> None:
    with pytest.raises(IntegrityError), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pattern_quality_metrics (pattern_id, quality_score, confidence) VALUES (%s, %s, %s)",
            [uuid7().hex, score, confidence],
        )


def test_every_created_table_is_recorded(fresh: Database) -> None:
    found = MirroredTable.objects.values_list("table", "system", "origin")

    assert set(found) == {(table, system, "created") for system, names in SYSTEMS.items() for table in names}


def test_only_the_named_systems_have_tables(empty_database: Database, settings: Any) -> None:
    settings.INTEGRITY_SYSTEMS = ("embeddings", "workflows")

    migrate("0001")

    assert tables() == BOOKS | SYSTEMS["embeddings"] | SYSTEMS["workflows"]


def test_the_migration_goes_back_and_forth_with_rows_in_the_tables(empty_database: Database) -> None:
    migrate("0001")
    columns, key = "id, course_id, name, original_name, storage_path", uuid7().hex
    empty_database.execute(f"INSERT INTO course_files ({columns}) VALUES ('{key}', '{key}', '', '', '')")

    migrate("zero")
    assert tables() == set()

    migrate("0001")
    assert tables() == BOOKS.union(*SYSTEMS.values())
    assert empty_database.execute("SELECT count(*) FROM course_files") == [(0,)]


def test_models_and_migrations_agree(database: Database, call: Call) -> None:
    result = call("makemigrations", "--check", "--dry-run")

    assert (result.code, result.out) == (0, "No changes detected\n")


def test_sqlmigrate_touches_nothing(empty_database: Database, call: Call) -> None:
    result = call("sqlmigrate", "integrity", "0001")

    assert result.code == 0
    assert all(f'CREATE TABLE "{table}"' in result.out for table in expected.COLUMNS)
    assert tables() == set()


def test_historical_models_read_and_write_vectors(fresh: Database) -> None:
    apps = MigrationLoader(connection).project_state(("integrity", "0001_initial")).apps
    config = apps.get_model("integrity", "ExperimentRun").objects.create(
        network=[], seed=1, max_length=1, initial_prompt="p"
    )
    invocation = config.invocations.create(model="m", type="TEXT", seed=1, sequence_number=0)

    invocation.embeddings.create(embedding_model="m", vector=[0.5] * 768)

    assert apps.get_model("integrity", "Embedding").objects.get().vector.tolist() == [0.5] * 768


@pytest.fixture
def owner(databases: Any) -> Iterator[Database]:
    """An empty PostgreSQL database, in which Django is a role that may create tables and no extension."""
    database = databases.empty("postgresql")
    role = f"owner_{os.getpid()}"
    database.execute(f"CREATE ROLE {role}")
    database.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {role}")
    connection.cursor().execute(f"SET ROLE {role}")
    yield database
    connection.close()
    database.execute(f"DROP OWNED BY {role}")
    database.execute(f"DROP ROLE {role}")


@pytest.mark.postgres
def test_without_pgvector_vectors_are_arrays_and_the_migration_says_so(owner: Database) -> None:
    if owner.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'"):
        pytest.skip("this server gives every database the extension vector")
    migrate("0001")

    (kind,) = [c.type for c in get_catalogue(using="default").columns("file_embeddings") if c.name == "embedding"]
    assert kind == "real[]"
    (note,) = MirroredTable.objects.get(table="file_embeddings").details["notes"]
    assert note.startswith("the extension vector ")
    assert "file_embeddings_embedding_idx" not in constraints("file_embeddings")


@pytest.mark.postgres
def test_with_pgvector_vectors_have_its_type_and_an_ivfflat_index(databases: Any) -> None:
    database = databases.empty("postgresql")
    if not database.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"):
        pytest.skip("this server does not offer the extension vector")

    migrate("0001")

    index = constraints("file_embeddings")["file_embeddings_embedding_idx"]
    assert (index["type"], index["options"]) == ("ivfflat", ["lists=100"])
    assert MirroredTable.objects.get(table="file_embeddings").details["notes"] == []
