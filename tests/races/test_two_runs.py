"""Two processes at one run take turns; a second run on the table has to wait for the first one's end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import psycopg
import pytest
from django.apps import apps
from django.db import connections, transaction

from integrity.dedupe import (
    DedupeRule,
    Pace,
    RunSummary,
    TableBusy,
    WrongState,
    apply_plan,
    make_plan,
    pause_run,
    resume_run,
    summarize_run,
    undo_run,
    unfinished_run,
)
from integrity.exceptions import IntegrityAppError
from integrity.models import DedupeRun
from tests.databases import Database
from tests.ponies.merging import quarantined
from tests.races.conftest import NAMES
from tests.races.writers import ISOLATIONS, Writer, at_step
from tests.snapshots import snapshot
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.slow

NAMES_AND_FATES = DedupeRule(model="ponies.Pony", fields=("name", "gone"), name="one pony per name and fate")
"""Another rule on the same table."""

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Other:
    """Another session of ours, on a thread with a connection of its own."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.error: IntegrityAppError | None = None
        self._act = act
        self._thread = threading.Thread(target=self._run)

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert self.has_ended, "it never got its turn"

    def to_its_end(self) -> None:
        self.start()
        self.join()

    def _run(self) -> None:
        try:
            self._act()
        except IntegrityAppError as error:
            self.error = error
        finally:
            connections.close_all()


def resume() -> RunSummary:
    number = unfinished_run(NAMES, apps=apps, using="default")
    assert number is not None
    return resume_run(number, NAMES, apps=apps, using="default", batch_size=1)


def apply(plan: int, rule: DedupeRule = NAMES) -> RunSummary:
    """Apply batch by batch."""
    return apply_plan(plan, rule, apps=apps, using="default", batch_size=1)


class Neighbour(threading.Event):
    """Another process that has the ponies' table until it was waited for a number of times.

    It stands for the wish to stop, on which whoever waits for the table waits.
    """

    def __init__(self, database: Database, *, waits: int, then_stop: bool = False) -> None:
        super().__init__()
        self._waits, self._then_stop = waits, then_stop
        self._claim = database.connect()

    def claim(self) -> None:
        self._claim.execute("SELECT pg_advisory_lock(hashtext('integrity'), hashtext('ponies_pony'))")

    def wait(self, timeout: float | None = None) -> bool:
        self._waits -= 1
        if self._waits == 0:
            self._claim.close()
            if self._then_stop:
                self.set()
        return self.is_set()


def test_a_run_that_another_process_finishes_is_done_once(pairs: Database) -> None:
    before = snapshot()
    plan = make_plan(NAMES, apps=apps, using="default")
    other = Other(resume)

    with at_step("done", other.to_its_end):
        apply(plan.id)

    assert other.error is None
    number = DedupeRun.objects.get().pk
    run = summarize_run(number, apps=apps, using="default")
    assert (run.state, run.removed, run.refused) == ("finished", 3, ())
    assert sorted(row["id"] for row in quarantined("ponies_pony")) == [2, 4, 6]
    undo_run(number, apps=apps, using="default")
    assert snapshot() == before


def test_a_group_that_was_busy_is_tried_again_by_one_of_two_processes(
    postgres_pairs: Database, writer: Callable[[psycopg.IsolationLevel], Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read that ponies 2 and 4 were locked; 2 is let go, and the other removes it first."""
    before = snapshot()
    holders = {pony: writer(ISOLATIONS[0]) for pony in (2, 4)}
    for pony, holder in holders.items():
        holder.write(f"SELECT 1 FROM ponies_pony WHERE id = {pony} FOR UPDATE")
    other = Other(resume)
    removed_one, go_on, naps = threading.Event(), threading.Event(), []

    def nap(_seconds: float) -> None:
        """Stands for the time between two tries, after which busy groups have been read and not yet tried."""
        if threading.current_thread() is not threading.main_thread():
            removed_one.set()
            assert go_on.wait(PATIENCE)
            return
        naps.append("first process")
        if len(naps) == 1:
            holders[2].commit()
            other.start()
            assert removed_one.wait(PATIENCE)
        else:
            holders[4].commit()
            go_on.set()
            other.join()

    monkeypatch.setattr("integrity.dedupe.batches.time", SimpleNamespace(sleep=nap, monotonic=time.monotonic))

    apply(make_plan(NAMES, apps=apps, using="default").id)

    assert (len(naps), other.error) == (2, None)
    run = summarize_run(DedupeRun.objects.get().pk, apps=apps, using="default")
    assert (run.state, run.removed, run.refused) == ("finished", 3, ())
    assert sorted(row["id"] for row in quarantined("ponies_pony")) == [2, 4, 6]
    undo_run(run.id, apps=apps, using="default")
    assert snapshot() == before


def test_a_run_waits_for_its_turn_however_often_another_process_has_the_table(postgres_pairs: Database) -> None:
    plan = make_plan(NAMES, apps=apps, using="default")
    neighbour = Neighbour(postgres_pairs, waits=20)
    neighbour.claim()

    run = apply_plan(plan.id, NAMES, apps=apps, using="default", pace=Pace(stop=neighbour))

    assert (run.state, run.removed, run.refused) == ("finished", 3, ())


def test_a_run_that_waits_for_its_turn_can_be_stopped(postgres_pairs: Database) -> None:
    before = snapshot()
    plan = make_plan(NAMES, apps=apps, using="default")
    neighbour = Neighbour(postgres_pairs, waits=3, then_stop=True)
    neighbour.claim()

    with pytest.raises(TableBusy, match="Stopped while waiting"):
        apply_plan(plan.id, NAMES, apps=apps, using="default", pace=Pace(stop=neighbour))

    assert not DedupeRun.objects.exists()
    apply(plan.id)
    undo_run(DedupeRun.objects.get().pk, apps=apps, using="default")
    assert snapshot() == before


@pytest.mark.parametrize("step", ["locked", "removed", "done"])
def test_a_second_run_on_the_table_is_refused(postgres_pairs: Database, step: str) -> None:
    plan = make_plan(NAMES, apps=apps, using="default")
    second = make_plan(NAMES_AND_FATES, apps=apps, using="default")
    other = Other(lambda: apply(second.id, NAMES_AND_FATES))

    with at_step(step, other.to_its_end):
        apply(plan.id)

    assert isinstance(other.error, TableBusy)
    assert DedupeRun.objects.get().state == "finished"
    assert len(quarantined("ponies_pony")) == 3


def test_an_undo_in_the_middle_of_a_batch_waits_for_its_end_and_then_takes_back_what_is_done(
    postgres_pairs: Database,
) -> None:
    before = snapshot()
    plan = make_plan(NAMES, apps=apps, using="default")
    other = Other(lambda: undo_run(DedupeRun.objects.get().pk, apps=apps, using="default"))

    def start() -> None:
        other.start()
        eventually(lambda: other.has_ended or postgres_pairs.execute(WAITING)[0][0])

    with at_step("removed", start):
        apply(plan.id)

    other.join()
    run = DedupeRun.objects.get()
    if run.state != "undone":
        undo_run(run.pk, apps=apps, using="default")
    assert snapshot() == before


@pytest.mark.parametrize("isolation", ISOLATIONS, ids=lambda level: level.name.lower())
def test_a_run_is_paused_after_its_batch_whatever_the_default_isolation(
    postgres_pairs: Database, isolation: psycopg.IsolationLevel
) -> None:
    apply(make_plan(NAMES, apps=apps, using="default").id)
    DedupeRun.objects.update(state="running")
    connections.databases["default"]["OPTIONS"]["isolation_level"] = isolation  # of connections opened from now on
    other = Other(lambda: pause_run(DedupeRun.objects.get().pk, apps=apps, using="default"))

    with transaction.atomic():  # as in a batch
        DedupeRun.objects.update(cursor=1)
        other.start()
        eventually(lambda: postgres_pairs.execute(WAITING)[0][0])

    other.join()
    assert (other.error, DedupeRun.objects.get().state) == (None, "paused")


def test_two_undos_of_one_run_at_once_take_it_back_once(postgres_pairs: Database) -> None:
    before = snapshot()
    apply(make_plan(NAMES, apps=apps, using="default").id)
    number = DedupeRun.objects.get().pk
    others = [Other(lambda: undo_run(number, apps=apps, using="default")) for _ in range(2)]

    with transaction.atomic():
        DedupeRun.objects.select_for_update().get(pk=number)
        for other in others:
            other.start()
        eventually(lambda: postgres_pairs.execute(WAITING)[0][0] == 2)
    for other in others:
        other.join()

    assert [type(other.error) for other in others if other.error] in ([], [WrongState])
    assert DedupeRun.objects.get().state == "undone"
    assert snapshot() == before
    assert not [name for name in connections["default"].introspection.table_names() if "integrity_undo" in name]
