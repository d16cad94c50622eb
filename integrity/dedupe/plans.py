"""The book of plans: which there are, what each says, and which can still be applied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps.registry import Apps
from django.db.models import Q
from django.db.models.functions import Now

from integrity import conf
from integrity.backends import get_catalogue, get_rows
from integrity.dedupe.abbreviation import to_the_minute
from integrity.dedupe.advice import command_for
from integrity.dedupe.books import book, require_books
from integrity.dedupe.refusals import refusal_summary, refusals_of
from integrity.dedupe.results import PlanEntry, PlanSummary, ReferenceSummary
from integrity.dedupe.stages import Stage
from integrity.exceptions import IntegrityAppError


class UnknownPlan(IntegrityAppError):
    """There is no such plan, or it cannot be applied any more."""


class UnknownGroup(IntegrityAppError):
    """The plan has no such group."""


class PlanChanged(IntegrityAppError):
    """The stored plan is not the one that was looked at."""


def load_plan(plan_id: int, *, apps: Apps, using: str, lock: bool = False) -> Any:
    """Return the book's row of a plan, locked until the transaction ends if that is asked for.

    Raises:
        UnknownPlan: there is none.
    """
    require_books(using=using)
    plans = book("DedupePlan", apps=apps, using=using)
    plan = (plans.select_for_update() if lock else plans).filter(pk=plan_id).first()
    if plan is None or plan.state == "making":
        raise UnknownPlan(
            f"There is no plan {plan_id} in database {using!r}. A preview makes one and prints its number; "
            f"expired ones are dropped. See them all: {command_for('dedupe --list', using=using)}"
        )
    if plan.state == "purged":
        raise UnknownPlan(f"Plan {plan_id} was purged with the rows that it removed. Make a new one.")
    return plan


def require_applicable(plan: Any, *, apps: Apps, using: str) -> None:
    """Check that a plan can still be applied, or revised.

    Raises:
        UnknownPlan: it was applied, has expired, has lost its side tables, or a later run of its rule has overtaken it.
    """
    runs = book("DedupeRun", apps=apps, using=using)
    taken = runs.filter(plan_id=plan.pk).order_by("-pk").first()
    if plan.state != "planned":
        by = f" by run {taken.pk}" if taken is not None else ""
        raise UnknownPlan(f"Plan {plan.pk} was applied before{by}; a plan is applied once. Make a new one.")
    if not book("DedupePlan", apps=apps, using=using).filter(pk=plan.pk, expires_at__gte=Now()).exists():
        raise UnknownPlan(f"Plan {plan.pk} expired on {to_the_minute(plan.expires_at)}. Make a new one.")
    require_stages(plan, using=using)
    later = runs.filter(rule=plan.rule, table=plan.table, started_at__gt=plan.created_at).exclude(state="undone")
    if (run := later.order_by("pk").first()) is not None:
        raise UnknownPlan(
            f"Plan {plan.pk} is superseded: run {run.pk} has applied plan {run.plan_id} of the same rule since. "
            "Make a new one."
        )


def require_digest(plan: Any, digest: str, *, using: str) -> None:
    """Check that a plan is the one that was looked at; without a digest, any plan is.

    Raises:
        PlanChanged: it is not.
    """
    if digest and digest != plan.digest:
        raise PlanChanged(
            f"Plan {plan.pk} has the digest {plan.digest}, not {digest}: it was revised since it was looked at. "
            f"Look at it again: {command_for(f'dedupe --show {plan.pk}', using=using)}"
        )


def require_groups(plan: Any, numbers: Iterable[int]) -> None:
    """Check that a plan has these groups.

    Raises:
        UnknownGroup: it lacks one.
    """
    last = plan.document["counts"]["groups"]
    for number in numbers:
        if not 1 <= number <= last:
            raise UnknownGroup(f"Plan {plan.pk} has no group {number}; it has {last}, numbered from 1.")


def stages_of(plan: Any) -> tuple[Stage, tuple[Stage, ...]]:
    """The root stage of a plan, and those of the referencing tables."""
    document = plan.document
    return Stage.from_json(document["root"]), tuple(map(Stage.from_json, document["stages"]))


def has_stages(plan: Any, *, using: str) -> bool:
    """Whether a plan's side tables are in the database: a backup may have been restored without them."""
    root, stages = stages_of(plan)
    return {root.name, refusals_of(root), *(s.name for s in stages)} <= get_catalogue(using=using).tables()


def require_stages(plan: Any, *, using: str) -> None:
    """Check that a plan's side tables are there.

    Raises:
        UnknownPlan: they are not.
    """
    if not has_stages(plan, using=using):
        raise UnknownPlan(
            f"The side tables of plan {plan.pk} are not in this database: they were dropped, or a backup was restored "
            "without them. Make a new plan."
        )


def list_plans(*, apps: Apps, using: str) -> tuple[PlanEntry, ...]:
    """Return what the book says of every plan, newest first; nothing is counted anew."""
    require_books(using=using)
    plans = book("DedupePlan", apps=apps, using=using).filter(~Q(state="making")).order_by("-pk")
    expired = set(plans.filter(state="planned", expires_at__lt=Now()).values_list("pk", flat=True))
    return tuple(
        PlanEntry(
            id=plan.pk,
            rule=plan.rule,
            table=plan.table,
            state="expired" if plan.pk in expired else plan.state,
            groups=plan.document["counts"]["groups"],
            redundant=plan.document["counts"]["redundant"],
            digest=plan.digest,
            created_at=plan.created_at,
            expires_at=plan.expires_at,
        )
        for plan in plans
    )


def summarize_plan(plan_id: int, *, apps: Apps, using: str, digest: str = "") -> PlanSummary:
    """Return what a stored plan says.

    Raises:
        UnknownPlan: there is no such plan, or it has lost its side tables.
        PlanChanged: ``digest`` is given, and it is not the plan's.
    """
    plan = load_plan(plan_id, apps=apps, using=using)
    require_digest(plan, digest, using=using)
    require_stages(plan, using=using)
    root, _ = stages_of(plan)
    return PlanSummary(
        id=plan.pk,
        rule=plan.rule,
        database=using,
        table=plan.table,
        key=tuple(plan.document["key"]),
        keep=plan.document["keep"],
        digest=plan.digest,
        references=tuple(map(ReferenceSummary.from_json, plan.document["references"])),
        refused=refusal_summary(root, using=using),
        triggers=plan.document.get("triggers", {}),  # a plan that an earlier version made has not asked
        caveats=tuple(plan.document.get("caveats", ())),
        filled=plan.document["filled"],
        by_hand=len(plan.document.get("survivors", {})),
        limit=plan.document.get("limit"),
        left_by=plan.document.get("left_by"),
        wording=plan.document.get("wording", {}),
        state=plan.state,
        expires_at=plan.expires_at,
        **plan.document["counts"],
    )


def discard_stale_plans(*, apps: Apps, using: str) -> None:
    """Drop the stages of plans that were cut short or have expired without being applied."""
    plans = book("DedupePlan", apps=apps, using=using)
    # A plan that is being made by another process looks like one that was cut short, until it would have expired.
    cut_short = plans.filter(state="making", created_at__lt=Now() - conf.plan_expiry())
    stale = cut_short | plans.filter(state="planned", expires_at__lt=Now())
    for plan in stale:
        discard_plan(plan.pk, apps=apps, using=using)


def discard_plan(plan_id: int, *, apps: Apps, using: str) -> None:
    """Forget a plan that nobody shall apply."""
    drop_stages(plan_id, using=using)
    book("DedupePlan", apps=apps, using=using).filter(pk=plan_id).delete()


def drop_stages(plan_id: int, *, using: str) -> None:
    """Drop every side table of a plan."""
    rows = get_rows(using=using)
    for name in rows.side_tables(f"integrity_plan_{plan_id}"):
        rows.drop(name)
