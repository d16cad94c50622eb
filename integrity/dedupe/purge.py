"""Delete what old runs have kept: removed rows, changed values, and the plans that name them. Redirects remain."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.apps.registry import Apps
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from integrity.backends import get_catalogue, get_rows
from integrity.backends.sql import compose
from integrity.dedupe import states
from integrity.dedupe.books import book, require_books
from integrity.dedupe.plans import discard_stale_plans, drop_stages
from integrity.dedupe.progress import Progress, Report, silent
from integrity.dedupe.redirects import REDIRECT, keep_redirects
from integrity.dedupe.runs import summarize_run


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeSummary:
    """What was deleted, or would be."""

    runs: tuple[int, ...]
    rows: int
    """Removed rows."""
    changes: int
    """Values that runs had changed."""
    unfinished: tuple[int, ...]
    """Runs that are as old and were left alone, as they are not at their end."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def purge_quarantine(
    *,
    older_than: timedelta,
    apps: Apps,
    using: str,
    rule: str = "",
    table: str = "",
    dry_run: bool = False,
    report: Report = silent,
) -> PurgeSummary:
    """Delete for good what runs have kept at which nobody worked since longer ago than this, by an undo or otherwise.

    One transaction for each run. A redirect from each removed row's primary key to its survivor's remains, and the
    run says from then on that it was purged. ``rule`` and ``table`` (that of the rule) narrow the choice.

    Raises:
        NotMigrated: the database has no books.
    """
    require_books(using=using)
    runs = book("DedupeRun", apps=apps, using=using).filter(updated_at__lte=Now() - older_than)
    runs = runs.exclude(details__has_key="purged").order_by("pk")
    runs = runs.filter(**{name: value for name, value in (("rule", rule), ("table", table)) if value})
    unfinished = tuple(runs.filter(state__in=states.RESUMABLE).values_list("pk", flat=True))
    chosen = tuple(runs.exclude(state__in=states.RESUMABLE).values_list("pk", flat=True))
    rows = changes = 0
    for number, run_id in enumerate(chosen):
        report(Progress(step="purging", done=number, total=len(chosen)))
        counted = _count(run_id, apps=apps, using=using) if dry_run else _purge(run_id, runs, apps=apps, using=using)
        rows, changes = rows + counted[0], changes + counted[1]
    if not dry_run:
        discard_stale_plans(apps=apps, using=using)
    return PurgeSummary(runs=chosen, rows=rows, changes=changes, unfinished=unfinished)


def _purge(run_id: int, old: QuerySet[Any], *, apps: Apps, using: str) -> tuple[int, int]:
    """Delete what one run has kept if it is still among the ``old`` ones; return how many rows and values."""
    rows = get_rows(using=using)
    with rows.writing(), transaction.atomic(using=using):
        run = old.select_for_update().filter(pk=run_id).first()
        if run is None or run.state in states.RESUMABLE:
            return 0, 0  # somebody else was faster, or undoes it just now
        summary = summarize_run(run_id, apps=apps, using=using)
        counted = {True: 0, False: 0}
        for side in _sides(apps=apps, using=using):
            if side.kind == "quarantine":
                keep_redirects(run_id, side, apps=apps, using=using)
            delete = compose("DELETE FROM {name} WHERE integrity_run IN (%s, %s)", name=side.name)
            counted[side.kind == "quarantine"] += rows.execute(delete, (run_id, -run_id))
        drop_stages(run.plan_id, using=using)
        for left_by_a_killed_undo in rows.side_tables(f"integrity_undo_{run_id}"):
            rows.drop(left_by_a_killed_undo)
        book("DedupePlan", apps=apps, using=using).filter(pk=run.plan_id).update(state="purged")
        refused = [asdict(refusal) for refusal in summary.refused]
        details = {**run.details, "purged": timezone.now().isoformat(), "refused": refused}
        book("DedupeRun", apps=apps, using=using).filter(pk=run_id).update(details=details)
    return counted[True], counted[False]


def _count(run_id: int, *, apps: Apps, using: str) -> tuple[int, int]:
    counted = {True: 0, False: 0}
    for side in _sides(apps=apps, using=using):
        query = compose("SELECT COUNT(*) FROM {name} WHERE integrity_run IN (%s, %s)", name=side.name)
        counted[side.kind == "quarantine"] += int(get_rows(using=using).value(query, (run_id, -run_id)))
    return counted[True], counted[False]


def _sides(*, apps: Apps, using: str) -> list[Any]:
    there = get_catalogue(using=using).tables()
    sides = book("SideTable", apps=apps, using=using).exclude(kind=REDIRECT).order_by("pk")
    return [side for side in sides if side.name in there]
