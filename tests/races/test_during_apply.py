"""Writers in the middle of a batch: the batch never waits for them, and nothing that they committed is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest
from django.apps import apps

from integrity.dedupe import VerificationFailed, apply_plan, make_plan, resume_run, unfinished_run
from tests.databases import Database
from tests.ponies.merging import merge, quarantined, rows_of
from tests.races.conftest import NAMES
from tests.races.writers import ISOLATIONS, Writer, at_step
from tests.snapshots import snapshot

pytestmark = pytest.mark.slow

STEPS = ["locked", "children", "removed", "verified"]
OpenWriter = Callable[[psycopg.IsolationLevel], Writer]
READ_COMMITTED, REPEATABLE_READ = ISOLATIONS

by_isolation = pytest.mark.parametrize("isolation", ISOLATIONS, ids=["read_committed", "repeatable_read"])
by_step = pytest.mark.parametrize("step", STEPS)

HELD = {
    "a redundant row": "UPDATE ponies_pony SET foaled = 7 WHERE id = 4",
    "the survivor": "UPDATE ponies_pony SET foaled = 7 WHERE id = 3",
    "a child": "UPDATE ponies_secretnote SET text = 'mine' WHERE id = 4",
    "a row that a new reference needs": "INSERT INTO ponies_ledger VALUES (7, 4, 1)",
}


@pytest.mark.slow
@by_isolation
@pytest.mark.parametrize("statement", HELD.values(), ids=[name.replace(" ", "_") for name in HELD])
def test_a_group_with_a_locked_row_is_busy_and_the_batch_does_not_wait(
    writer: OpenWriter, isolation: psycopg.IsolationLevel, statement: str
) -> None:
    other = writer(isolation)
    other.write(statement)

    run = merge(NAMES, batch_size=100)

    assert run.removed == 2
    assert [(refusal.groups, "locked" in refusal.reason) for refusal in run.refused] == [(1, True)]
    other.commit()
    tables = ("ponies_pony", "ponies_secretnote", "ponies_ledger")
    mine = [row for table in tables for row in rows_of(table) if {7, "mine"} & set(row.values())]
    assert len(mine) == 1
    assert merge(NAMES).clean


@by_isolation
def test_a_reference_that_is_checked_at_commit_only_is_told_so_there(
    writer: OpenWriter, isolation: psycopg.IsolationLevel
) -> None:
    other = writer(isolation)
    other.write("INSERT INTO ponies_secretnote (id, pony_id, text) VALUES (9, 4, 'mine')")

    run = merge(NAMES, batch_size=100)

    assert run.removed == 3
    with pytest.raises((psycopg.errors.ForeignKeyViolation, psycopg.errors.SerializationFailure)):
        other.commit()


def run_beside(other: Writer, step: str, statement: str) -> int:
    """Merge everything in one batch with a writer who comes at one of its steps; return how many rows went.

    The size is given, so that a machine that stalls does not end the batch for the time it takes.
    """
    other.look()
    with at_step(step, lambda: other.start(statement)):
        run = merge(NAMES, batch_size=100)
    other.join()
    return run.removed


@by_step
@by_isolation
def test_a_new_reference_to_a_row_that_goes_is_told_so(
    writer: OpenWriter, isolation: psycopg.IsolationLevel, step: str
) -> None:
    other = writer(isolation)

    removed = run_beside(other, step, "INSERT INTO ponies_secretnote (id, pony_id, text) VALUES (9, 4, 'mine')")

    assert removed == 3
    assert isinstance(other.error, psycopg.errors.ForeignKeyViolation | psycopg.errors.SerializationFailure)
    assert {row["pony_id"] for row in rows_of("ponies_secretnote")} == {1, 3, 5}


@by_step
@by_isolation
def test_an_edit_of_a_row_that_goes_changes_nothing_or_is_told_so(
    writer: OpenWriter, isolation: psycopg.IsolationLevel, step: str
) -> None:
    other = writer(isolation)

    removed = run_beside(other, step, "UPDATE ponies_pony SET foaled = 7 WHERE id = 4")

    assert removed == 3
    assert other.changed == 0 if isolation is READ_COMMITTED else other.error is not None
    assert [row["foaled"] for row in quarantined("ponies_pony")] == [None] * 3


@by_step
@by_isolation
def test_an_edit_of_the_survivor_or_a_new_reference_to_it_is_kept(
    writer: OpenWriter, isolation: psycopg.IsolationLevel, step: str
) -> None:
    editing, referencing = writer(isolation), writer(isolation)
    referencing.look()

    with at_step(
        step, lambda: referencing.start("INSERT INTO ponies_secretnote (id, pony_id, text) VALUES (9, 3, 'mine')")
    ):
        removed = run_beside(editing, step, "UPDATE ponies_pony SET foaled = 7 WHERE id = 3")

    referencing.join()
    assert removed == 3
    assert (editing.error, referencing.error) == (None, None)
    assert [row["foaled"] for row in rows_of("ponies_pony") if row["id"] == 3] == [7]
    assert [row["pony_id"] for row in rows_of("ponies_secretnote") if row["text"] == "mine"] == [3]


@by_step
@by_isolation
def test_an_edit_of_a_child_that_moves_is_kept_or_is_told_so(
    writer: OpenWriter, isolation: psycopg.IsolationLevel, step: str
) -> None:
    other = writer(isolation)

    removed = run_beside(other, step, "UPDATE ponies_secretnote SET text = 'mine' WHERE id = 4")

    assert removed == 3
    ((pony, text),) = [(row["pony_id"], row["text"]) for row in rows_of("ponies_secretnote") if row["id"] == 4]
    assert pony == 3
    assert text == ("theirs" if other.error else "mine")
    assert (other.error is None) == (isolation is READ_COMMITTED)


@by_step
@by_isolation
def test_a_new_duplicate_stays_and_is_counted(writer: OpenWriter, isolation: psycopg.IsolationLevel, step: str) -> None:
    other = writer(isolation)

    removed = run_beside(other, step, "INSERT INTO ponies_pony (id, name, gone) VALUES (9, 'pair 2', false)")

    assert (removed, other.error) == (3, None)
    assert [row["name"] for row in rows_of("ponies_pony") if row["id"] == 9] == ["pair 2"]
    assert make_plan(NAMES, apps=apps, using="default").groups == 1


@by_step
@by_isolation
def test_a_row_that_goes_is_not_deleted_a_second_time(
    writer: OpenWriter, isolation: psycopg.IsolationLevel, step: str
) -> None:
    other = writer(isolation)

    removed = run_beside(other, step, "DELETE FROM ponies_pony WHERE id = 4")

    assert removed == 3
    assert other.changed == 0 if isolation is READ_COMMITTED else other.error is not None
    assert len(quarantined("ponies_pony")) == 3


@pytest.mark.parametrize("step", ["locked", "children", "removed"])
@by_isolation
def test_a_new_reference_that_the_database_does_not_watch_stops_the_batch_and_the_rest_can_be_finished(
    writer: OpenWriter, isolation: psycopg.IsolationLevel, step: str
) -> None:
    other = writer(isolation)

    with pytest.raises(VerificationFailed, match="ponies_loosenote"):
        run_beside(other, step, "INSERT INTO ponies_loosenote (id, pony_id, text) VALUES (9, 4, 'mine')")

    other.join()
    number = unfinished_run(NAMES, apps=apps, using="default")
    assert number is not None
    run = resume_run(number, NAMES, apps=apps, using="default")
    assert run.removed == 2
    assert [refusal.groups for refusal in run.refused] == [1]
    assert [row["pony_id"] for row in rows_of("ponies_loosenote") if row["text"] == "mine"] == [4]
    assert merge(NAMES).clean


@by_step
def test_on_sqlite_a_writer_is_told_that_the_database_is_locked_and_readers_go_on(
    sqlite_pairs: Database, step: str
) -> None:
    before = snapshot()["ponies_pony"]
    plan = make_plan(NAMES, apps=apps, using="default")
    seen: list[object] = []

    def interfere() -> None:
        with closing(sqlite3.connect(sqlite_pairs.path, timeout=0)) as other:
            seen.append(other.execute("SELECT count(*) FROM ponies_pony").fetchone()[0])
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("UPDATE ponies_pony SET foaled = 7 WHERE id = 4")
            seen.append("locked")

    with at_step(step, interfere):
        run = apply_plan(plan.id, NAMES, apps=apps, using="default")

    assert seen == [len(before), "locked"]
    assert (run.removed, run.refused) == (3, ())
