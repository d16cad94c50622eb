"""The book of runs: which there are, and what each has done so far."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.apps.registry import Apps

from integrity.dedupe import states
from integrity.dedupe.advice import command_for
from integrity.dedupe.books import book, require_books
from integrity.dedupe.plans import has_stages, load_plan, stages_of
from integrity.dedupe.refusals import refusal_summary
from integrity.dedupe.results import Refusal, RunSummary
from integrity.dedupe.rule import DedupeRule
from integrity.exceptions import IntegrityAppError


class UnknownRun(IntegrityAppError):
    """There is no such run."""


def load_run(run_id: int, *, apps: Apps, using: str) -> Any:
    """Return the book's row of a run.

    Raises:
        UnknownRun: there is none.
    """
    require_books(using=using)
    run = book("DedupeRun", apps=apps, using=using).filter(pk=run_id).first()
    if run is None:
        them_all = command_for("dedupe --list", using=using)
        raise UnknownRun(f"There is no run {run_id} in database {using!r}. See them all: {them_all}")
    return run


def unfinished_run(rule: DedupeRule, *, apps: Apps, using: str) -> int | None:
    """The run of this rule that has not come to its end, if there is one, and that nobody has paused."""
    require_books(using=using)
    runs = book("DedupeRun", apps=apps, using=using).filter(rule=rule.name, state__in=states.RESUMABLE)
    run = runs.exclude(state=states.PAUSED).order_by("pk").first()
    return int(run.pk) if run is not None else None


def ways_on(run: Any, *, apps: Apps, using: str) -> str:
    """What can be done with a run that is not at its end, after "finish it:"."""
    finish = command_for(f"dedupe --resume {run.pk}", using=using)
    if not load_plan(run.plan_id, apps=apps, using=using).document.get("wording"):  # no command can build the rule
        finish = f"run again what began it, such as {command_for('migrate', using=using)}"
    return (
        f"{finish}; or end it where it is: {command_for(f'dedupe --cancel {run.pk}', using=using)}; "
        f"or take it back: {command_for(f'undo_dedupe {run.pk}', using=using)}"
    )


def list_runs(*, apps: Apps, using: str) -> tuple[RunSummary, ...]:
    """Return all runs, newest first."""
    require_books(using=using)
    numbers = book("DedupeRun", apps=apps, using=using).order_by("-pk").values_list("pk", flat=True)
    return tuple(summarize_run(number, apps=apps, using=using) for number in numbers)


def summarize_run(run_id: int, *, apps: Apps, using: str, groups_left: int | None = None) -> RunSummary:
    """Return what a run has done so far.

    Raises:
        UnknownRun: there is no such run.
    """
    run = load_run(run_id, apps=apps, using=using)
    counts = Counter(run.counts)
    return RunSummary(
        id=run.pk,
        plan=run.plan_id,
        rule=run.rule,
        database=using,
        table=run.table,
        state=run.state,
        removed=counts["removed"],
        repointed=counts["repointed"],
        collisions=counts["collisions"],
        batches=counts["batches"],
        refused=_refused(run, apps=apps, using=using),
        groups_left=groups_left,
        note=_note(run, apps=apps, using=using),
    )


def _refused(run: Any, *, apps: Apps, using: str) -> tuple[Refusal, ...]:
    """From the plan's stages; from the run's own page once those were purged."""
    if "purged" in run.details:
        return tuple(Refusal(**refusal) for refusal in run.details["refused"])
    plan = load_plan(run.plan_id, apps=apps, using=using)
    root, _ = stages_of(plan)
    return refusal_summary(root, using=using) if has_stages(plan, using=using) else ()


def _note(run: Any, *, apps: Apps, using: str) -> str:
    purged = "purged" in run.details
    whole = purged or has_stages(load_plan(run.plan_id, apps=apps, using=using), using=using)
    notes = (
        run.details.get("error", ""),
        "cancelled before its end" if run.details.get("cancelled") else "",
        f"purged on {run.details['purged'][:10]}" if purged else "",
        "" if whole else f"the side tables of plan {run.plan_id} are gone, and with them which groups were refused",
    )
    return "; ".join(filter(None, notes))
