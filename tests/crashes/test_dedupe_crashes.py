"""An apply or an undo that dies at any point: the rerun ends where an undisturbed one ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection
from django.db.models import Exists, OuterRef
from psycopg import sql

from integrity.dedupe.largegroups import LARGE
from integrity.demo.data import make_dirty_data
from integrity.models import DedupeRun, Embedding
from integrity.models.fields import uuid7
from project.local import CHECKOUT
from tests.commands import run_command
from tests.conftest import Databases
from tests.databases import Database
from tests.snapshots import Snapshot, snapshot

STEPS = ["batch_step:locked", "batch_step:children", "batch_step:removed", "batch_step:verified", "batch_done"]
APPLY = ("dedupe_embeddings", "--apply", "--no-input", "--batch-size", "10")
LANES = ("--connections", "2")


@pytest.fixture
def dirty(database_at: Callable[[str], Database]) -> Database:
    database = database_at("0001")
    make_dirty_data(using="default")
    return database


def crash(database: Database, point: str, nth: int, how: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.crashes.killed", point, str(nth), how, *command],
        cwd=CHECKOUT,
        env=database.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def undisturbed() -> tuple[Snapshot, Snapshot]:
    """What the tables hold before and after, found out by doing and undoing it."""
    before = snapshot()
    assert run_command(*APPLY).code == 0
    after = snapshot()
    assert run_command("undo_dedupe", "1").code == 0
    assert snapshot() == before
    return before, after


def everything(database: Database) -> list[str]:
    """Every embedding's id, in its table or in quarantine."""
    tables = {"embedding", "integrity_quarantine_embedding_1"} & set(connection.introspection.table_names())
    held = [row for table in tables for row in database.execute(f"SELECT CAST(id AS text) FROM {table}")]
    return sorted(row[0] for row in held)


def reopen(database: Database) -> None:
    """Let sessions into a database that ``killed`` has shut."""
    name = urlsplit(database.url).path.removeprefix("/")
    with psycopg.connect(database.url, dbname="postgres", autocommit=True) as other:
        other.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", STEPS)
def test_an_apply_killed_at_any_step_is_finished_by_the_rerun(dirty: Database, point: str, nth: int) -> None:
    before, after = undisturbed()
    ids = everything(dirty)

    killed = crash(dirty, point, nth, "kill", *APPLY)

    assert killed.returncode == -9
    assert everything(dirty) == ids, "each row is in its table or in quarantine, once"
    assert run_command(*APPLY).code == 0
    assert snapshot() == after
    assert everything(dirty) == ids
    assert run_command("undo_dedupe", "2").code == 0
    assert snapshot() == before


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("point", STEPS)
def test_an_apply_in_lanes_killed_at_any_step_is_finished_by_the_rerun(
    databases: Databases, point: str, nth: int
) -> None:
    dirty = databases.migrated("postgresql", "0001")
    make_dirty_data(using="default")
    before, after = undisturbed()
    ids = everything(dirty)

    killed = crash(dirty, point, nth, "kill", *APPLY, *LANES)

    assert killed.returncode == -9
    assert everything(dirty) == ids, "each row is in its table or in quarantine, once"
    assert run_command(*APPLY, *LANES).code == 0
    assert snapshot() == after
    assert run_command("undo_dedupe", "2").code == 0
    assert snapshot() == before


@pytest.mark.slow
@pytest.mark.parametrize("point", STEPS)
def test_an_apply_killed_amid_a_large_group_is_finished_by_the_rerun(dirty: Database, point: str) -> None:
    key = {name: OuterRef(name) for name in ("invocation", "embedding_model")}
    twins = Embedding.objects.filter(**key).exclude(pk=OuterRef("pk"))  # whose children would collide
    one = Embedding.objects.filter(~Exists(twins), invocation__run__isnull=False).earliest("id")
    Embedding.objects.bulk_create(
        Embedding(id=uuid7(), invocation_id=one.invocation_id, embedding_model=one.embedding_model, vector=one.vector)
        for _ in range(LARGE + 1)
    )
    before, after = undisturbed()
    ids = everything(dirty)

    killed = crash(dirty, point, 3, "kill", *APPLY[:-1], "300")

    assert killed.returncode == -9
    assert everything(dirty) == ids, "each row is in its table or in quarantine, once"
    assert 0 < Embedding.objects.filter(invocation_id=one.invocation_id).count() < LARGE
    assert run_command(*APPLY[:-1], "300").code == 0
    assert snapshot() == after
    assert run_command("undo_dedupe", "2").code == 0
    assert snapshot() == before


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("lanes", [(), LANES], ids=["alone", "in lanes"])
@pytest.mark.parametrize("point", STEPS)
def test_an_apply_whose_session_is_terminated_goes_on_in_a_new_one(
    databases: Databases, point: str, lanes: tuple[str, ...]
) -> None:
    dirty = databases.migrated("postgresql", "0001")
    make_dirty_data(using="default")
    _, after = undisturbed()

    cut = crash(dirty, point, 2, "terminate", *APPLY, *lanes)

    assert cut.returncode == 0, cut.stderr
    assert snapshot() == after


@pytest.mark.postgres
def test_an_apply_that_is_not_let_in_again_says_that_nothing_is_lost_and_is_resumable(databases: Databases) -> None:
    dirty = databases.migrated("postgresql", "0001")
    make_dirty_data(using="default")
    _, after = undisturbed()

    cut = crash(dirty, "batch_step:children", 2, "shut", *APPLY)

    assert cut.returncode == 2
    assert "Traceback" not in cut.stderr
    assert "othing is lost" in cut.stderr
    reopen(dirty)
    assert run_command(*APPLY).code == 0
    assert snapshot() == after


def test_an_undo_killed_before_its_end_is_finished_by_the_rerun(dirty: Database) -> None:
    before = snapshot()
    run_command(*APPLY)

    killed = crash(dirty, "run_state_changed:undone", 1, "kill", "undo_dedupe", "1")

    assert killed.returncode == -9
    assert run_command("undo_dedupe", "1").code == 0
    assert snapshot() == before


def test_a_run_that_was_killed_is_told_to_the_next_one(dirty: Database) -> None:
    crash(dirty, "batch_done", 1, "kill", *APPLY)
    assert DedupeRun.objects.get().state == "running"

    asked = dirty.manage("dedupe_embeddings", "--apply", input="n\n")

    assert asked.returncode == 2
    assert "Run 1 was not finished" in asked.stderr
