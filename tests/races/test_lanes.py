"""A run on several connections does what it does on one; its batches are committed in order, whoever is faster."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import connection, transaction
from psycopg import sql

from integrity.dedupe import (
    OneConnection,
    Pace,
    RunFailed,
    RunSummary,
    apply_plan,
    make_plan,
    pause_run,
    resume_run,
    undo_run,
)
from integrity.models import DedupeRun
from integrity.signals import batch_done, batch_step, run_state_changed
from tests.commands import run_command
from tests.databases import Database
from tests.ponies.merging import quarantined
from tests.ponies.models import Pony
from tests.races.conftest import NAMES
from tests.races.test_two_runs import Other
from tests.snapshots import snapshot
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.slow

MANY = 40
"""Pairs of ponies; the second of each is redundant."""


@pytest.fixture
def herd(postgres_ponies: Database) -> Database:
    Pony.all_objects.bulk_create(Pony(pk=n, name=f"pair {(n + 1) // 2}") for n in range(1, 2 * MANY + 1))
    return postgres_ponies


def apply(*, connections: int = 2, batch_size: int = 1, **pace: Any) -> RunSummary:
    plan = make_plan(NAMES, apps=apps, using="default")
    return apply_plan(
        plan.id,
        NAMES,
        apps=apps,
        using="default",
        batch_size=batch_size,
        pace=Pace(connections=connections, **pace),
    )


@contextmanager
def at_each(signal: Any, receive: Any) -> Iterator[None]:
    signal.connect(receive)
    try:
        yield
    finally:
        signal.disconnect(receive)


@pytest.mark.parametrize("connections", [2, 3, 5])
def test_a_run_in_lanes_does_what_a_run_on_one_connection_does(herd: Database, connections: int) -> None:
    before = snapshot()
    alone = apply(connections=1)
    after, removed = snapshot(), quarantined("ponies_pony")
    undo_run(alone.id, apps=apps, using="default")

    run = apply(connections=connections)

    assert (run.state, run.removed, run.batches, run.refused) == ("finished", MANY, MANY, ())
    assert snapshot() == after
    assert {row["id"] for row in quarantined("ponies_pony")} == {row["id"] for row in removed}
    undo_run(run.id, apps=apps, using="default")
    assert snapshot() == before


def test_every_lane_has_a_connection_of_its_own(herd: Database) -> None:
    backends: dict[str, int] = {}
    both = threading.Barrier(2, timeout=PATIENCE)

    def meet(*, step: str, **_: Any) -> None:
        name = threading.current_thread().name
        if step == "locked" and name not in backends:
            backends[name] = connection.connection.info.backend_pid
            both.wait()

    with at_each(batch_step, meet):
        run = apply()

    assert run.removed == MANY
    assert len(set(backends.values())) == 2
    others = herd.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", [list(backends.values())])
    assert others == [(1,)], "the run's own connection is left"


def test_a_batch_that_is_ready_first_lets_go_of_its_rows_until_its_turn_comes(herd: Database) -> None:
    second_is_ready = threading.Event()

    def hold_the_first(*, step: str, **_: Any) -> None:
        first = threading.current_thread() is threading.main_thread()
        if step == "verified" and not first:
            second_is_ready.set()
        if step == "verified" and first and not committed:
            assert second_is_ready.wait(PATIENCE)
            eventually(lambda: not busy(herd))

    def busy(database: Database) -> bool:
        """Whether anybody but the first batch holds redundant ponies."""
        free = database.execute(
            "SELECT count(*) FROM (SELECT 1 FROM ponies_pony WHERE id %% 2 = 0 FOR UPDATE SKIP LOCKED) AS free"
        )
        return bool(free[0][0] < MANY - 1)

    committed: list[int] = []
    with at_each(batch_step, hold_the_first), at_each(batch_done, lambda **_: committed.append(1)):
        run = apply()

    assert (run.removed, run.batches, len(committed)) == (MANY, MANY, MANY)


def test_the_cursor_never_passes_a_batch_that_is_not_committed(herd: Database) -> None:
    seen: list[tuple[int, int]] = []

    def look(**_: Any) -> None:
        (found,) = herd.execute(
            "SELECT cursor, (SELECT count(*) FROM integrity_quarantine_ponies_pony_1 WHERE integrity_unit <= cursor)"
            " FROM integrity_run"
        )
        seen.append(found)

    with at_each(batch_done, look):
        apply(connections=3)

    assert seen
    assert all(cursor == removed for cursor, removed in seen)


def test_groups_that_the_database_refuses_are_left_and_all_others_done(herd: Database) -> None:
    herd.execute(
        """
        CREATE FUNCTION not_these() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF old.id %% 10 = 0 THEN RAISE EXCEPTION 'pony %% stays', old.id; END IF;
            RETURN old;
        END $$
        """
    )
    herd.execute("CREATE TRIGGER not_these BEFORE DELETE ON ponies_pony FOR EACH ROW EXECUTE FUNCTION not_these()")

    run = apply(batch_size=4)

    assert (run.state, run.removed) == ("finished", MANY - MANY // 5)
    assert sum(refusal.groups for refusal in run.refused) == MANY // 5
    assert {row["id"] for row in quarantined("ponies_pony")} == {n for n in range(2, 2 * MANY + 1, 2) if n % 10}


def test_a_row_that_all_batches_write_to_makes_lanes_slow_but_never_wrong(herd: Database) -> None:
    herd.execute("CREATE TABLE counter AS SELECT 0 AS gone")
    herd.execute(
        """
        CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN UPDATE counter SET gone = gone + 1; RETURN old; END $$
        """
    )
    herd.execute("CREATE TRIGGER count_it BEFORE DELETE ON ponies_pony FOR EACH ROW EXECUTE FUNCTION count_it()")

    run = apply(batch_size=10)

    assert (run.removed, run.refused) == (MANY, ())
    assert herd.execute("SELECT gone FROM counter") == [(MANY,)]


def test_a_paused_run_stops_all_lanes_and_is_resumed(herd: Database) -> None:
    other = Other(lambda: pause_run(DedupeRun.objects.get().pk, apps=apps, using="default"))
    begun: list[int] = []

    def pause(**_: Any) -> None:
        begun.append(1)
        if len(begun) == 5:
            other.to_its_end()

    with at_each(batch_done, pause):
        run = apply()

    assert (run.state, other.error) == ("paused", None)
    assert 5 <= run.removed < MANY
    done = resume_run(run.id, NAMES, apps=apps, using="default", pace=Pace(connections=2))
    assert (done.state, done.removed) == ("finished", MANY)


def test_a_run_that_another_process_finishes_meanwhile_is_done_once(herd: Database) -> None:
    before = snapshot()
    both = Pace(connections=2)
    other = Other(
        lambda: resume_run(DedupeRun.objects.get().pk, NAMES, apps=apps, using="default", batch_size=1, pace=both)
    )
    begun = threading.Event()

    def start(**_: Any) -> None:
        if not begun.is_set():
            begun.set()
            other.start()

    with at_each(batch_done, start):
        apply()
    other.join()

    run = DedupeRun.objects.get()
    assert (run.state, run.counts["removed"]) == ("finished", MANY)
    assert len(quarantined("ponies_pony")) == MANY
    undo_run(run.pk, apps=apps, using="default")
    assert snapshot() == before


def test_a_fault_in_one_lane_takes_back_its_batch_only(herd: Database) -> None:
    faults = iter([True])

    def fail(*, step: str, **_: Any) -> None:
        if step == "removed" and threading.current_thread() is not threading.main_thread() and next(faults, False):
            raise psycopg.OperationalError("the network is gone")

    with at_each(batch_step, fail), pytest.raises(psycopg.OperationalError):
        apply()

    run = DedupeRun.objects.get()
    done = resume_run(run.pk, NAMES, apps=apps, using="default", pace=Pace(connections=2))
    assert (done.state, done.removed, len(quarantined("ponies_pony"))) == ("finished", MANY, MANY)


def test_a_second_connection_that_is_not_to_be_had_is_named_and_loses_nothing(herd: Database) -> None:
    name = sql.Identifier(connection.settings_dict["NAME"]).as_string()

    def let_sessions_in(allowed: bool) -> None:
        with psycopg.connect(herd.url, dbname="postgres", autocommit=True) as other:
            other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}")

    def shut(*, state: str, **_: Any) -> None:
        if state == "running":
            let_sessions_in(False)

    with at_each(run_state_changed, shut), pytest.raises(RunFailed, match="not currently accepting connections"):
        apply()

    let_sessions_in(True)
    run = DedupeRun.objects.get()
    done = resume_run(run.pk, NAMES, apps=apps, using="default", pace=Pace(connections=2))
    assert (done.state, done.removed) == ("finished", MANY)


def test_sqlite_has_one_connection(sqlite_pairs: Database) -> None:
    asked = run_command("dedupe", "ponies.Pony", "--key", "name", "--apply", "--no-input", "--connections", "2")

    assert asked.code == 2
    assert "one writer at a time" in asked.err
    assert not DedupeRun.objects.exists()


def test_a_callers_transaction_has_one_connection(herd: Database) -> None:
    with pytest.raises(OneConnection, match="Inside a transaction"), transaction.atomic():
        apply()
