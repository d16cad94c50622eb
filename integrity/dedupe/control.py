"""Pause and cancel a run from anywhere; whoever carries it out sees it before its next batch."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db.models.functions import Now

from integrity.dedupe import states
from integrity.dedupe.results import RunSummary
from integrity.dedupe.runs import load_run, summarize_run


def pause_run(run_id: int, *, apps: Apps, using: str) -> RunSummary:
    """Let a run stop before its next batch, to be resumed whenever it suits. Waits for the batch under way.

    Raises:
        UnknownRun: there is no such run.
        WrongState: it is not running.
    """
    states.move_to(load_run(run_id, apps=apps, using=using), states.PAUSED, using=using)
    return summarize_run(run_id, apps=apps, using=using)


def cancel_run(run_id: int, *, apps: Apps, using: str) -> RunSummary:
    """End a run where it stands: it is ``finished`` with what it did, which can be undone as any run's work.

    Waits for the batch under way.

    Raises:
        UnknownRun: there is no such run.
        WrongState: it is at its end already.
    """
    run = load_run(run_id, apps=apps, using=using)
    states.move_to(run, states.FINISHED, using=using, finished_at=Now(), details={"cancelled": True})
    return summarize_run(run_id, apps=apps, using=using)
