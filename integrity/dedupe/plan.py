"""Decide, and write the decision down: a plan is made from what is there now, stored, and applied as stored.

States of a plan: ``making`` (its stages are being written; dropped by the next plan if that was cut short),
``planned`` (may be applied until it expires), ``applied`` (a run took it; it cannot be taken again).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from django.apps.registry import Apps
from django.db.models.functions import Now

from integrity import conf
from integrity.backends import get_catalogue, get_rows
from integrity.backends.sql import compose
from integrity.dedupe.books import book, require_books
from integrity.dedupe.conflicts import apply_conflict_policy
from integrity.dedupe.couplings import couple
from integrity.dedupe.fills import stage_fills
from integrity.dedupe.finder import stage_duplicates
from integrity.dedupe.following import Following
from integrity.dedupe.medoids import rank_medoids
from integrity.dedupe.progress import Progress, Report, silent
from integrity.dedupe.refusals import make_refusals, refusal_summary
from integrity.dedupe.results import PlanSummary, ReferenceSummary
from integrity.dedupe.rule import DedupeRule
from integrity.dedupe.stages import Stage
from integrity.dedupe.target import Target, resolve
from integrity.dedupe.vectors import largest_distance
from integrity.exceptions import IntegrityAppError
from integrity.signals import plan_made


class UnknownPlan(IntegrityAppError):
    """There is no such plan, or it cannot be applied any more."""


def make_plan(
    rule: DedupeRule, *, apps: Apps, using: str, limit: int | None = None, report: Report = silent
) -> PlanSummary:
    """Find the duplicates, decide about each row and each reference, and store the decision.

    Reads the rule's table once or twice and the referencing tables by the removed keys; writes nothing but the
    plan. Takes no row locks. ``limit`` is the number of groups treated at most.

    Raises:
        IntegrityAppError: the rule does not fit the database, or the database has no books.
    """
    target = resolve(rule, apps=apps, using=using)
    require_books(using=using)
    plans = book("DedupePlan", apps=apps, using=using)
    discard_stale_plans(apps=apps, using=using)
    plan = plans.create(rule=rule.name, model=rule.model, table=target.table, state="making", digest="")
    report(Progress(step="finding duplicates"))
    root = stage_duplicates(target, name=f"integrity_plan_{plan.pk}", limit=limit)
    rank_medoids(target, root)
    refusals = make_refusals(root, using=using)
    apply_conflict_policy(target, root, refusals=refusals)
    report(Progress(step="following references"))
    following = Following(root=root, rule=rule, apps=apps, using=using, refusals=refusals)
    following.follow()
    stages = tuple(following.stages.values())
    couple(root, stages, using=using)
    fills = stage_fills(target, root, name=f"{root.name}_fill")
    stages = (*stages, fills) if fills else stages
    report(Progress(step="summing up"))
    document = {
        "key": [str(getattr(e, "name", e)) for e in target.key.expressions],
        "keep": target.why,
        "root": root.to_json(),
        "stages": [stage.to_json() for stage in stages],
        "counts": _counts(target, root, using=using),
        "references": [_reference_counts(stage, using=using) for stage in stages if not stage.fills],
        "filled": _filled(fills, using=using),
        "indexed_key": _indexed_key(target),
    }
    plans.filter(pk=plan.pk).update(
        state="planned",
        digest=_digest(target, (root, *stages), using=using),
        document=document,
        expires_at=Now() + conf.plan_expiry(),
    )
    summary = summarize_plan(plan.pk, apps=apps, using=using)
    plan_made.send(sender=DedupeRule, using=using, plan=summary.id, rule=rule.name)
    return summary


def load_plan(plan_id: int, *, apps: Apps, using: str) -> Any:
    """Return the book's row of a plan.

    Raises:
        UnknownPlan: there is none.
    """
    plan = book("DedupePlan", apps=apps, using=using).filter(pk=plan_id).first()
    if plan is None or plan.state == "making":
        raise UnknownPlan(
            f"There is no plan {plan_id} in database {using!r}. A preview makes one and prints its number."
        )
    return plan


def stages_of(plan: Any) -> tuple[Stage, tuple[Stage, ...]]:
    """The root stage of a plan, and those of the referencing tables."""
    document = plan.document
    return Stage.from_json(document["root"]), tuple(map(Stage.from_json, document["stages"]))


def summarize_plan(plan_id: int, *, apps: Apps, using: str) -> PlanSummary:
    """Return what a stored plan says.

    Raises:
        UnknownPlan: there is no such plan.
    """
    plan = load_plan(plan_id, apps=apps, using=using)
    root, _ = stages_of(plan)
    return PlanSummary(
        id=plan.pk,
        rule=plan.rule,
        database=using,
        table=plan.table,
        key=tuple(plan.document["key"]),
        keep=plan.document["keep"],
        digest=plan.digest,
        references=tuple(
            ReferenceSummary(**{**counts, "columns": tuple(counts["columns"])})
            for counts in plan.document["references"]
        ),
        refused=refusal_summary(root, using=using),
        filled=plan.document["filled"],
        expires_at=plan.expires_at,
        **plan.document["counts"],
    )


def discard_stale_plans(*, apps: Apps, using: str) -> None:
    """Drop the stages of plans that were cut short or have expired without being applied."""
    plans = book("DedupePlan", apps=apps, using=using)
    stale = plans.filter(state="making") | plans.filter(state="planned", expires_at__lt=Now())
    for plan in stale:
        drop_stages(plan.pk, using=using)
        plans.filter(pk=plan.pk).delete()


def drop_stages(plan_id: int, *, using: str) -> None:
    """Drop every side table of a plan."""
    rows = get_rows(using=using)
    for name in rows.side_tables(f"integrity_plan_{plan_id}"):
        rows.drop(name)


def _counts(target: Target, root: Stage, *, using: str) -> dict[str, Any]:
    rows = get_rows(using=using)
    by_kind = dict(rows.fetch(compose("SELECT kind, COUNT(*) FROM {root} GROUP BY kind", root=root.name)))
    vector = target.rule.vector
    column = target.model._meta.get_field(vector).column if vector else None
    return {
        "groups": int(by_kind.pop("survivor", 0)),
        "redundant": int(sum(by_kind.values())),
        **{kind: int(by_kind.get(kind, 0)) for kind in ("identical", "incomplete", "conflicting")},
        "max_distance": largest_distance(root, column=column, using=using) if column else None,
    }


def _filled(stage: Stage | None, *, using: str) -> int:
    """How many survivors get another value in any field."""
    if stage is None:
        return 0
    return int(get_rows(using=using).value(compose("SELECT COUNT(*) FROM {stage}", stage=stage.name)))


def _reference_counts(stage: Stage, *, using: str) -> dict[str, Any]:
    found = dict(
        get_rows(using=using).fetch(compose("SELECT action, COUNT(*) FROM {stage} GROUP BY action", stage=stage.name))
    )
    return {
        "table": stage.table,
        "columns": list(dict.fromkeys(c for reference in stage.references for c in reference.columns)),
        "repointed": int(found.get("repoint", 0)),
        "collisions": int(found.get("remove", 0)),
        "indexed": all(reference.indexed for reference in stage.references),
    }


def _indexed_key(target: Target) -> bool:
    """Whether the members of one group can be looked up without reading the whole table."""
    first = {index.columns[0] for index in get_catalogue(using=target.using).indexes(target.table) if index.valid}
    return bool(first & set(target.key_columns))


def _digest(target: Target, stages: tuple[Stage, ...], *, using: str) -> str:
    """Names the decision: the same rule on the same rows gives the same digest."""
    rows = get_rows(using=using)
    parts = [
        target.rule.name,
        target.why,
        *(f"{stage.table}:{rows.digest(stage.name, ('action', *stage.p, *stage.s, 'fp'))}" for stage in stages),
    ]
    return sha256("\n".join(parts).encode()).hexdigest()
