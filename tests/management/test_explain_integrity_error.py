"""manage.py explain_integrity_error: from a line of a log to the true cause."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from integrity.backends import get_catalogue
from integrity.models import ExperimentConfig, ExperimentRun
from tests.commands import CommandResult
from tests.databases import Database

Call = Callable[..., CommandResult]
EXPLAIN = "explain_integrity_error"
LINE = "sqlalchemy.exc.IntegrityError: (sqlite3.IntegrityError) UNIQUE constraint failed: embeddingcluster.id\n"


@pytest.fixture
def numeric(sqlite_database: Database) -> Database:
    """A database as the original's migration left it."""
    sqlite_database.execute("DROP TABLE embeddingcluster")
    sqlite_database.execute(
        "CREATE TABLE embeddingcluster (id UUID NOT NULL PRIMARY KEY, embedding_id UUID NOT NULL REFERENCES embedding, "
        "clustering_result_id CHAR(32) NOT NULL, cluster_id CHAR(32) NOT NULL)"
    )
    return sqlite_database


def test_the_true_cause_of_the_original_report_is_named(numeric: Database, call: Call) -> None:
    for identifier in ("068c0000000000000000000000000001", "0680000000000000000000000000e999", "0" * 31 + "7"):
        numeric.execute("INSERT INTO embeddingcluster VALUES (?, 'a', 'b', 'c')", [identifier])

    result = call(EXPLAIN, input=LINE)

    assert result.code == 0, result.err
    assert "Table:       embeddingcluster (id)" in result.out
    assert "Constraint:  primary key" in result.out
    assert "Stored ids:  embeddingcluster.id UUID: 1 Inf, 1 integer, 1 text" in result.out
    assert (
        "These ids look like numbers in a NUMERIC column. embeddingcluster.id, embeddingcluster.embedding_id"
        in result.out
    )
    assert "RepairIdStorage" in result.out


def test_even_when_everything_was_rolled_back(numeric: Database, call: Call) -> None:
    result = call(EXPLAIN, input=LINE + "[parameters: ('06800000-0000-0000-0000-000000000e99', 'x')]")

    assert "NUMERIC column" in result.out
    assert "no values" in result.out
    assert "So do these of the text: 06800000-0000-0000-0000-000000000e99." in result.out


def test_an_id_that_came_back_as_a_number_is_recognized(numeric: Database, call: Call) -> None:
    result = call(EXPLAIN, input="AttributeError: 'float' object has no attribute 'replace'")

    assert "NUMERIC column" in result.out


def test_the_same_line_on_a_sound_database_has_another_cause(sqlite_database: Database, call: Call) -> None:
    result = call(EXPLAIN, input=LINE)

    assert result.code == 0
    assert "NUMERIC" not in result.out
    assert "Another row had the key: embeddingcluster (id)" in result.out


def real_error() -> str:
    with connection.cursor() as cursor:
        try:
            cursor.execute("INSERT INTO auth_group (name) VALUES ('taken')")
        except Exception as error:
            return f"Traceback ...\n{type(error).__name__}: {error}"
    raise AssertionError


def test_a_real_error_is_explained_with_constraint_and_row(database: Database, call: Call, tmp_path: Path) -> None:
    group = Group.objects.create(name="taken")
    path = tmp_path / "log"
    path.write_text(real_error())

    result = call(EXPLAIN, str(path), "--format", "json")

    found = json.loads(result.out)
    assert (found["table"], found["columns"]) == ("auth_group", ["name"])
    assert "upsert" in found["advice"]
    if database.vendor == "postgresql":
        assert (found["key"], found["rows"]) == ({"name": "taken"}, [str(group.pk)])
        assert found["constraint"] == "auth_group_name_key"


def test_the_language_of_the_log_does_not_matter(postgres_database: Database, call: Call) -> None:
    group = Group.objects.create(name="a, b")
    text = (
        "FEHLER:  doppelter Schlüsselwert verletzt Unique-Constraint »auth_group_name_key«\n"
        "DETAIL:  Schlüssel »(name)=(a, b)« existiert bereits.\n"
    )

    result = call(EXPLAIN, input=text)

    assert "Key:         name = a, b" in result.out
    assert f"Row now:     {group.pk}" in result.out


def test_a_key_that_nobody_has_now_points_at_a_race(postgres_database: Database, call: Call) -> None:
    text = 'violates unique constraint "auth_group_name_key"\nDETAIL:  Key (name)=(gone) already exists.'

    assert "two writers raced" in call(EXPLAIN, input=text).out


def test_a_foreign_key_is_recognized_by_its_name(postgres_database: Database, call: Call) -> None:
    text = (
        'insert or update on table "file_chunks" violates foreign key constraint "file_embeddings_chunk_id_fkey"\n'
        'DETAIL:  Key (chunk_id)=(00000000-0000-0000-0000-000000000001) is not present in table "file_chunks".'
    )

    result = call(EXPLAIN, input=text)

    assert "Constraint:  file_embeddings_chunk_id_fkey" in result.out
    assert "The row of file_chunks that file_embeddings (chunk_id) points at is not there." in result.out
    assert "manage.py where_is ID --table file_chunks" in result.out


def test_the_values_of_a_key_that_is_computed_are_told(postgres_ponies: Database, call: Call) -> None:
    postgres_ponies.execute("CREATE UNIQUE INDEX one_name ON ponies_pony (lower(name))")
    text = 'violates unique constraint "one_name"\nDETAIL:  Key (lower(name))=(misty) already exists.'

    result = call(EXPLAIN, input=text)

    assert "Key:         lower(name) = misty" in result.out
    assert "Another row had this key, a part of which is computed" in result.out


@pytest.mark.parametrize(
    ("key", "row", "said"),
    [
        ("experiment_id)=({parent}", "{parent}", "was not there yet. Now it is"),
        ("id)=({parent}", "{child}", "Rows point at the row of experimentconfig that was to go: run (experiment_id)."),
        (
            "experiment_id)=(00000000-0000-0000-0000-000000000001",
            "",
            "that run (experiment_id) points at is not there.",
        ),
    ],
)
def test_of_a_foreign_key_the_rows_at_either_end_are_looked_for(
    postgres_database: Database, call: Call, key: str, row: str, said: str
) -> None:
    parent = ExperimentConfig.objects.create(networks=[], seeds=[], prompts=[], embedding_models=[], max_length=1)
    child = ExperimentRun.objects.create(network=[], max_length=1, seed=1, initial_prompt="", experiment=parent)
    (name,) = [key.name for key in get_catalogue(using="default").foreign_keys("run")]
    detail = key.format(parent=parent.pk)

    result = call(EXPLAIN, input=f"verletzt Fremdschlüssel »{name}«\nDETAIL:  Schlüssel »({detail})« ...")

    assert said in result.out
    assert ("Row now:     " + row.format(parent=parent.pk, child=child.pk) in result.out) == bool(row)


def test_of_a_check_its_table_and_what_it_demands_are_told(database: Database, call: Call) -> None:
    line = {
        "sqlite": '{"error": "CHECK constraint failed: pattern_quality_metrics_confidence_check"}',
        "postgresql": 'File "/app/cluster/run.py", line 3\n'
        'new row for relation "pattern_quality_metrics" violates check constraint '
        '"pattern_quality_metrics_confidence_check"\nDETAIL:  Failing row contains (1, cluster, 3).',
    }

    result = call(EXPLAIN, "--format", "json", input=line[database.vendor])

    found = json.loads(result.out)
    assert (found["table"], found["constraint"]) == (
        "pattern_quality_metrics",
        "pattern_quality_metrics_confidence_check",
    )
    assert "demands: (" in found["cause"]
    assert "<= " in found["cause"]


def test_a_check_without_a_name_is_found_by_what_it_demands(sqlite_database: Database, call: Call) -> None:
    sqlite_database.execute("CREATE TABLE priced (amount real CHECK /* no gifts */ (amount > (0) ))")

    result = call(EXPLAIN, input="sqlite3.IntegrityError: CHECK constraint failed: amount > (0)\n")

    assert "Table:       priced" in result.out
    assert "demands: amount > (0)" in result.out


def test_words_that_happen_to_name_a_table_do_not_mislead(postgres_database: Database, call: Call) -> None:
    text = (
        'File "/app/cluster/embedding/run.py", line 3\n'
        'null value in column "model" of relation "invocation" violates not-null constraint\n'
    )

    assert "Table:       invocation (model)\n" in call(EXPLAIN, input=text).out


def test_a_foreign_key_of_sqlite_is_found_by_its_statement_alone(sqlite_database: Database, call: Call) -> None:
    line = "django.db.utils.IntegrityError: FOREIGN KEY constraint failed\n"

    alone, told = call(EXPLAIN, input=line), call(EXPLAIN, input=line + "[SQL: INSERT INTO embeddingcluster (id) ...")

    assert (alone.code, "SQLite does not tell which foreign key failed" in alone.err) == (2, True)
    assert (told.code, "Table:       embeddingcluster" in told.out) == (0, True)


def test_a_foreign_key_that_fails_because_ids_became_numbers_is_recognized(numeric: Database, call: Call) -> None:
    assert "NUMERIC column" in call(EXPLAIN, input="FOREIGN KEY constraint failed").out


@pytest.mark.parametrize("text", ["", "nothing of this kind", "UNIQUE constraint failed: no_such_table.id", "\0\n" * 9])
def test_a_text_that_names_nothing_is_one_line_and_exit_code_2(database: Database, call: Call, text: str) -> None:
    result = call(EXPLAIN, input=text)

    assert result.code == 2
    assert result.err.count("\n") == 1
    assert "names no constraint" in result.err


def test_a_missing_file_is_one_line_and_exit_code_2(sqlite_database: Database, call: Call) -> None:
    result = call(EXPLAIN, "/nowhere/log")

    assert (result.code, result.err.count("\n")) == (2, 1)
