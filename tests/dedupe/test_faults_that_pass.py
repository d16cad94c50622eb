"""A batch that fails for what may pass, as a deadlock or a lost connection, is tried again, but not forever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import OperationalError, transaction

from integrity.dedupe import RunFailed, RunSummary, apply_plan, make_plan, resume_run, undo_run
from integrity.models import DedupeRun
from integrity.signals import batch_step
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, rows_of, twins
from tests.snapshots import snapshot

ALWAYS = 1000

Fail = Callable[[int], list[str]]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fail]:
    """Lets the first batches fail when their rows are removed, and takes no time; returns the steps that failed."""
    monkeypatch.setattr("integrity.dedupe.batches.time.sleep", lambda _seconds: None)
    failed: list[str] = []
    left = 0

    def receive(*, step: str, **_: Any) -> None:
        if step == "removed" and len(failed) < left:
            failed.append(step)
            raise OperationalError("the network is gone")

    def fail(times: int) -> list[str]:
        nonlocal left
        left = times
        return failed

    batch_step.connect(receive)
    yield fail
    batch_step.disconnect(receive)


def apply() -> RunSummary:
    plan = make_plan(ONE_NAME, apps=apps, using="default")
    return apply_plan(plan.id, ONE_NAME, apps=apps, using="default")


@pytest.mark.parametrize("times", [1, 4])
def test_a_batch_that_fails_a_few_times_takes_place_once(ponies: Database, fail: Fail, times: int) -> None:
    twins()
    before = snapshot()
    failed = fail(times)

    run = apply()

    assert len(failed) == times
    assert (run.state, run.removed, run.batches, run.refused) == ("finished", 1, 1, ())
    assert undo_run(run.id, apps=apps, using="default").restored == 1
    assert snapshot() == before


def test_a_batch_that_fails_however_often_ends_the_run_with_that_fault_and_can_be_resumed(
    ponies: Database, fail: Fail
) -> None:
    twins()
    before = snapshot()
    failed = fail(ALWAYS)

    with pytest.raises(RunFailed, match="the network is gone"):
        apply()

    assert len(failed) == 5
    assert snapshot() == before
    fail(0)
    run = resume_run(DedupeRun.objects.get().pk, ONE_NAME, apps=apps, using="default")
    assert (run.state, run.removed) == ("finished", 1)


def test_within_a_transaction_of_the_callers_a_fault_is_the_callers_at_once(ponies: Database, fail: Fail) -> None:
    twins()
    failed = fail(ALWAYS)

    with pytest.raises(RunFailed, match="the network is gone"), transaction.atomic():
        apply()

    assert len(failed) == 1
    assert len(rows_of("ponies_pony")) == 2
    assert DedupeRun.objects.count() == 0
