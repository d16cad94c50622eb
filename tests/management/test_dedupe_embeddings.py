"""``manage.py dedupe_embeddings`` and ``manage.py undo_dedupe``, as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from integrity.demo.data import make_dirty_data
from integrity.models import Embedding
from tests.commands import CommandResult
from tests.databases import Database
from tests.snapshots import snapshot

Call = Callable[..., CommandResult]


@pytest.fixture
def dirty(database_at: Callable[[str], Database]) -> Database:
    database = database_at("0001")
    make_dirty_data(using="default")
    return database


def test_the_preview_is_the_default_and_changes_no_row(dirty: Database, call: Call) -> None:
    before = snapshot()

    shown = call("dedupe_embeddings")

    assert shown.code == 0
    assert "25" in shown.out
    assert "Nothing was changed" in shown.out
    assert "complete first, then oldest by started_at" in " ".join(shown.out.split())
    assert snapshot() == before


def test_apply_does_exactly_the_previewed_plan(dirty: Database, call: Call) -> None:
    plan = json.loads(call("dedupe_embeddings", "--format", "json").out)["plan"]

    done = call("dedupe_embeddings", "--apply", "--plan", str(plan["id"]), "--no-input", "--format", "json")

    run = json.loads(done.out)["run"]
    assert done.code == 0
    assert (run["plan"], run["removed"], run["collisions"]) == (plan["id"], 25, 25)
    assert run["clean"] is True


def test_apply_asks_first_and_no_means_no(dirty: Database, call: Call) -> None:
    before = snapshot()

    refused = call("dedupe_embeddings", "--apply", input="n\n")

    assert refused.code == 2
    assert "Nothing was changed" in refused.err
    assert snapshot() == before


def test_apply_with_nobody_to_answer_names_the_flag(dirty: Database, call: Call) -> None:
    refused = call("dedupe_embeddings", "--apply")

    assert refused.code == 2
    assert "--no-input" in refused.err


def test_yes_applies(dirty: Database, call: Call) -> None:
    assert call("dedupe_embeddings", "--apply", input="y\n").code == 0
    assert Embedding.objects.count() == 301


def test_a_second_apply_has_nothing_to_do(dirty: Database, call: Call) -> None:
    call("dedupe_embeddings", "--apply", "--no-input")

    again = call("dedupe_embeddings", "--apply", "--no-input")

    assert again.code == 0
    assert "Nothing to do" in again.out


def test_undo_brings_everything_back(dirty: Database, call: Call) -> None:
    before = snapshot()
    call("dedupe_embeddings", "--apply", "--no-input")

    undone = call("undo_dedupe", "1")

    assert undone.code == 0
    assert snapshot() == before


def test_the_redo_after_an_undo_ends_where_the_first_run_ended(dirty: Database, call: Call) -> None:
    call("dedupe_embeddings", "--apply", "--no-input")
    once = snapshot()
    call("undo_dedupe", "1")

    call("dedupe_embeddings", "--apply", "--no-input")

    assert snapshot() == once


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("dedupe_embeddings", "--database", "nowhere"), "nowhere"),
        (("dedupe_embeddings", "--plan", "99"), "no plan 99"),
        (("dedupe_embeddings", "--limit", "0"), "--limit"),
        (("dedupe_embeddings", "--keep", "prettiest"), "--keep"),
        (("undo_dedupe", "99"), "no run 99"),
        (("undo_dedupe",), "--list"),
    ],
)
def test_bad_input_is_told_in_one_line_with_exit_code_2(
    dirty: Database, call: Call, arguments: tuple[str, ...], says: str
) -> None:
    refused = call(*arguments)

    assert refused.code == 2
    assert says in refused.err
    assert "Traceback" not in refused.err


def test_a_database_that_is_not_migrated_names_the_command_that_helps(empty_database: Database, call: Call) -> None:
    empty_database.execute("CREATE TABLE invocation (id CHAR(32) PRIMARY KEY)")
    empty_database.execute(
        "CREATE TABLE embedding (id CHAR(32) PRIMARY KEY, started_at TIMESTAMP, completed_at TIMESTAMP, "
        "invocation_id CHAR(32), embedding_model VARCHAR(20), vector BLOB)"
        if empty_database.vendor == "sqlite"
        else "CREATE TABLE embedding (id uuid PRIMARY KEY, started_at timestamp, completed_at timestamp, "
        "invocation_id uuid, embedding_model text, vector bytea)"
    )

    refused = call("dedupe_embeddings")

    assert refused.code == 2
    assert "manage.py migrate integrity 0001" in refused.err


def test_a_database_without_the_table_says_so(empty_database: Database, call: Call) -> None:
    refused = call("dedupe_embeddings")

    assert refused.code == 2
    assert "no table 'embedding'" in refused.err


def test_a_table_that_lacks_a_column_says_which(dirty: Database, call: Call) -> None:
    dirty.execute("ALTER TABLE embedding DROP COLUMN started_at")

    refused = call("dedupe_embeddings")

    assert refused.code == 2
    assert "'started_at'" in refused.err


@pytest.mark.postgres
def test_a_role_without_the_privilege_is_told_so(databases, call: Call) -> None:  # type: ignore[no-untyped-def]
    database = databases.migrated("postgresql", "0001")
    make_dirty_data(using="default")
    database.execute("CREATE ROLE reader_only NOLOGIN") if not database.execute(
        "SELECT 1 FROM pg_roles WHERE rolname = 'reader_only'"
    ) else None
    database.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_only")
    database.execute(
        "ALTER DATABASE " + database.execute("SELECT current_database()")[0][0] + " SET role = reader_only"
    )

    refused = database.manage("dedupe_embeddings", "--apply", "--no-input")

    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "integrity" in refused.stderr
