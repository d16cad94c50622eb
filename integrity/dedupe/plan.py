"""Decide, and write the decision down: a plan is made from what is there now, stored, and applied as stored.

States of a plan: ``making`` (its stages are being written; dropped by the next plan if that was cut short),
``planned`` (may be revised, and applied until it expires), ``applied`` (a run took it; it cannot be taken again),
``purged`` (its rows and those it removed are gone for good).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.apps.registry import Apps
from django.db.models.functions import Now

from integrity import conf
from integrity.dedupe.books import book, require_books
from integrity.dedupe.decision import decide
from integrity.dedupe.finder import stage_duplicates
from integrity.dedupe.leftovers import rows_left_by
from integrity.dedupe.medoids import rank_medoids
from integrity.dedupe.plans import discard_stale_plans, drop_stages, summarize_plan
from integrity.dedupe.progress import Progress, Report, silent
from integrity.dedupe.results import PlanSummary
from integrity.dedupe.rule import DedupeRule
from integrity.dedupe.target import resolve
from integrity.signals import plan_made

NOT_WORDED: Final[Mapping[str, Any]] = {}


def make_plan(
    rule: DedupeRule,
    *,
    apps: Apps,
    using: str,
    limit: int | None = None,
    left_by: int | None = None,
    wording: Mapping[str, Any] = NOT_WORDED,
    report: Report = silent,
) -> PlanSummary:
    """Find the duplicates, decide about each row and each reference, and store the decision.

    Reads the rule's table once or twice and the referencing tables by the removed keys; writes nothing but the
    plan. Takes no row locks. ``limit`` is the number of groups treated at most; ``left_by`` is a run, whose refused
    groups alone are planned, by their rows' primary keys and without reading the others. ``wording``, plain JSON, is
    kept for whoever has to find or build the rule again.

    Raises:
        UnknownRun: there is no run ``left_by``.
        UnknownPlan: the plan of that run was purged, or is of another table.
        IntegrityAppError: the rule does not fit the database, or the database has no books.
    """
    target = resolve(rule, apps=apps, using=using)
    require_books(using=using)
    among = None if left_by is None else rows_left_by(left_by, target, apps=apps)
    plans = book("DedupePlan", apps=apps, using=using)
    discard_stale_plans(apps=apps, using=using)
    plan = plans.create(rule=rule.name, model=rule.model, table=target.table, state="making", digest="")
    drop_stages(plan.pk, using=using)  # books from an older backup give a number for the second time
    report(Progress(step="finding duplicates"))
    root = stage_duplicates(target, name=f"integrity_plan_{plan.pk}", limit=limit, among=among)
    rank_medoids(target, root)
    decision = decide(target, root, apps=apps, report=report)
    plans.filter(pk=plan.pk).update(
        state="planned",
        digest=decision.digest,
        document={**decision.document, "wording": dict(wording), "limit": limit, "left_by": left_by},
        expires_at=Now() + conf.plan_expiry(),
    )
    summary = summarize_plan(plan.pk, apps=apps, using=using)
    plan_made.send(sender=DedupeRule, using=using, plan=summary.id, rule=rule.name)
    return summary
