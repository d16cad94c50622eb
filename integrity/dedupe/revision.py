"""Revise a stored plan before it is applied: leave groups out, or let another row of a group survive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.apps.registry import Apps
from django.db import transaction

from integrity.backends import get_rows
from integrity.backends.sql import SQL, columns, compose, joined
from integrity.backends.statements import Query
from integrity.dedupe.advice import command_for
from integrity.dedupe.books import book
from integrity.dedupe.decision import count, decide, digest_of, forget_decision
from integrity.dedupe.inspection import UnknownRow
from integrity.dedupe.plans import (
    load_plan,
    require_applicable,
    require_digest,
    require_groups,
    stages_of,
    summarize_plan,
)
from integrity.dedupe.progress import Report, silent
from integrity.dedupe.refusals import EXCLUDED, TIED, refusals_of
from integrity.dedupe.reranking import rerank
from integrity.dedupe.results import PlanSummary
from integrity.dedupe.rule import DedupeRule
from integrity.dedupe.spelling import spellings
from integrity.dedupe.stages import Stage
from integrity.dedupe.target import Target, resolve

NOBODY: Final[Mapping[int, str]] = {}


def revise_plan(
    plan_id: int,
    rule: DedupeRule,
    *,
    apps: Apps,
    using: str,
    exclude: Sequence[int] = (),
    survivors: Mapping[int, str] = NOBODY,
    digest: str = "",
    report: Report = silent,
) -> PlanSummary:
    """Leave groups out of a plan, and name the primary keys of rows that shall survive, by group; return the new plan.

    It keeps its number and gets another digest. Groups that are tied to an excluded one are left out with it. Where
    survivors change, what references the groups is followed anew, from what is there now. All of it happens in one
    transaction, or none; nobody can apply the plan meanwhile.

    Raises:
        UnknownPlan: there is no such plan, or it cannot be applied any more.
        PlanChanged: ``digest`` is given, and it is not the plan's.
        UnknownGroup: it has no such group.
        UnknownRow: a group has no such row.
    """
    target = resolve(rule, apps=apps, using=using)
    plans = book("DedupePlan", apps=apps, using=using)
    with get_rows(using=using).writing(), transaction.atomic(using=using):
        plan = load_plan(plan_id, apps=apps, using=using, lock=True)
        require_applicable(plan, apps=apps, using=using)
        require_digest(plan, digest, using=using)
        root, _ = stages_of(plan)
        require_groups(plan, (*exclude, *survivors))
        if survivors:
            plan.document = {**plan.document, **_choose(target, plan, survivors, apps=apps, report=report)}
        excluded = sorted({*plan.document.get("excluded", ()), *exclude})
        _exclude(root, excluded, using=using)
        root, stages = stages_of(plan)
        plan.document = {**plan.document, "excluded": excluded, **count(target, root, stages)}
        plans.filter(pk=plan_id).update(digest=digest_of(target, (root, *stages)), document=plan.document)
    return summarize_plan(plan_id, apps=apps, using=using)


def _choose(target: Target, plan: Any, survivors: Mapping[int, str], *, apps: Apps, report: Report) -> dict[str, Any]:
    """Let these rows survive and decide anew; return what changes in the plan's document."""
    using = target.using
    root, stages = stages_of(plan)
    rows = get_rows(using=using)
    scores = f"{root.name}_chosen"
    rows.drop(scores)
    nothing = "SELECT {p}, 0 AS score FROM {root} WHERE 1 = 0"
    rows.create_as(scores, Query(sql=compose(nothing, p=columns(root.p), root=root.name)))
    for group, pk in survivors.items():
        _note_chosen(plan, root, scores, group, pk, using=using)
    forget_decision(root, stages, using=using)
    rerank(root, scores=scores, using=using, over_completeness=True)
    rows.drop(scores)
    chosen = {**plan.document.get("survivors", {}), **{str(group): pk for group, pk in survivors.items()}}
    return {**decide(target, root, apps=apps, report=report).document, "survivors": chosen}


def _note_chosen(plan: Any, root: Stage, scores: str, group: int, pk: str, *, using: str) -> None:
    parts = [part.strip() for part in pk.split(",")] if len(root.pk) > 1 else [pk]
    tried = [spellings(part) for part in parts]
    this_row = joined(
        " AND ",
        (
            compose("CAST({p} AS text) IN ({marks})", p=p, marks=SQL(", ".join(["%s"] * len(each))))
            for p, each in zip(root.p, tried, strict=False)
        ),
    )
    found = get_rows(using=using).execute(
        compose(
            "INSERT INTO {scores} ({p}, score) SELECT {p}, 0 FROM {root} WHERE grp = %s AND {this_row}",
            scores=scores,
            p=columns(root.p),
            root=root.name,
            this_row=this_row,
        ),
        (group, *(spelling for each in tried for spelling in each)),
    )
    if found != 1 or len(parts) != len(root.pk):
        look = command_for(f"dedupe --show {plan.pk} --group {group}", using=using)
        raise UnknownRow(f"Group {group} has no row {pk!r}. Look at it: {look}")


def _exclude(root: Stage, groups: Sequence[int], *, using: str) -> None:
    """Refuse these groups, and those that share a unit with one of them."""
    rows = get_rows(using=using)
    names = {"refusals": refusals_of(root), "root": root.name}
    rows.execute(compose("DELETE FROM {refusals} WHERE reason IN (%s, %s)", **names), (EXCLUDED, TIED))
    for group in groups:
        rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT DISTINCT r.unit, r.grp, CASE WHEN r.grp = %s THEN %s ELSE %s END FROM {root} AS r
                WHERE r.unit IN (SELECT unit FROM {root} WHERE grp = %s)
                """,
                **names,
            ),
            (group, EXCLUDED, TIED, group),
        )
