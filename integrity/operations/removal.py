"""Run the engine until a table has no duplicates, or say why some remain."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from django.apps.registry import Apps
from django.db import DatabaseError

from integrity.dedupe import (
    DedupeRule,
    Pace,
    PlanSummary,
    RunSummary,
    apply_plan,
    count_duplicates,
    discard_plan,
    holding_leftovers,
    largest_groups,
    make_plan,
    resume_run,
    unfinished_run,
)
from integrity.dedupe.advice import command_for
from integrity.dedupe.refusals import BY_DATABASE, PASSING
from integrity.exceptions import IntegrityAppError

# The guard makes a writer wait who asks for a key of a batch, not only one who changes its rows.
_PACE = Pace(batch_time=timedelta(milliseconds=40))
_ROUNDS = 5  # while others write, groups are refused as busy or changed; the next plan sees them as they are then
_TRIES = 5  # in vain, at what a round leaves, by plans of it alone, which are applied before a busy row changes again
_FEW = 10  # groups whose rows may be held while they are planned: 0.2 s, which their writers wait
_NAMED = 3  # duplicate groups, as examples


class DuplicatesRemain(IntegrityAppError):
    """Groups that the engine refused, or was not to touch."""


def remove_duplicates(rule: DedupeRule, *, apps: Apps, using: str, say: Callable[[str], None]) -> None:
    """Remove all redundant rows to quarantine, taking up a run that was cut short before.

    Each batch is a short transaction of its own, unless the caller has opened one.

    Raises:
        DuplicatesRemain: some groups were refused; the others are done, unless the caller's transaction is rolled back.
        IntegrityAppError: the rule does not fit, or the engine failed.
    """
    unfinished = unfinished_run(rule, apps=apps, using=using)
    if unfinished is not None:
        _tell(resume_run(unfinished, rule, apps=apps, using=using, pace=_PACE), say)
    for number in range(1, _ROUNDS + 1):
        plan = make_plan(rule, apps=apps, using=using)
        if plan.groups == 0 and not plan.refused:
            discard_plan(plan.id, apps=apps, using=using)
            return
        run = apply_plan(plan.id, rule, apps=apps, using=using, pace=_PACE)
        _tell(run, say)
        if run.clean:
            return
        # What went in this round may have stood in the way of what was refused in it.
        hopeless = bool(run.refused) and not run.removed and not _may_pass(run)
        if hopeless or number == _ROUNDS:
            break
        _remove_leftovers(run, rule, apps=apps, using=using, say=say)
    raise DuplicatesRemain(_remaining(rule, plan, run))


def _remove_leftovers(run: RunSummary, rule: DedupeRule, *, apps: Apps, using: str, say: Callable[[str], None]) -> None:
    """Try again what may pass; at last, if it is little, with its rows held."""
    in_vain = 0
    while in_vain < _TRIES:
        if not _may_pass(run):
            return
        again = _again(run, rule, apps=apps, using=using)
        if again is None:
            return
        _tell_removed(again, say)
        in_vain = 0 if again.removed else in_vain + 1
        run = again
    if not _may_pass(run) or sum(refusal.groups for refusal in run.refused) > _FEW:
        return
    # Whatever stands against it, the next round of the whole table says so.
    with suppress(DatabaseError, IntegrityAppError):
        with holding_leftovers(run.id, rule, apps=apps, using=using):
            again = _again(run, rule, apps=apps, using=using)
        _tell_removed(again, say)


def _again(run: RunSummary, rule: DedupeRule, *, apps: Apps, using: str) -> RunSummary | None:
    """Plan and apply what a run left; None where there is nothing that could be done."""
    plan = make_plan(rule, apps=apps, using=using, left_by=run.id)
    if plan.groups == plan.refused_groups:
        discard_plan(plan.id, apps=apps, using=using)
        return None
    return apply_plan(plan.id, rule, apps=apps, using=using, pace=_PACE, verify=False)


def _tell_removed(run: RunSummary | None, say: Callable[[str], None]) -> None:
    if run is not None and run.removed:
        _tell(run, say)


def _may_pass(run: RunSummary) -> bool:
    return any(refusal.reason in PASSING for refusal in run.refused)


def refuse_duplicates(rule: DedupeRule, *, apps: Apps, using: str) -> None:
    """Let nothing pass that is not unique already.

    Raises:
        DuplicatesRemain: there are duplicates.
    """
    found = count_duplicates(rule, apps=apps, using=using)
    if found.groups:
        some = "; ".join(largest_groups(rule, most=_NAMED, apps=apps, using=using))
        raise DuplicatesRemain(
            f"{rule.model} has {found.groups} duplicate groups ({found.redundant} redundant rows) of {_key(rule)}, "
            f"such as {some}; and this operation is not to remove any. Give it a rule that says which row stays, or "
            f"remove them first: {command_for('dedupe', using=using)} with a rule, or with {rule.model} and its --key "
            "or --constraint."
        )


def _tell(run: RunSummary, say: Callable[[str], None]) -> None:
    say(
        f"{run.table}: removed {run.removed} redundant rows to quarantine, moved {run.repointed} references, "
        f"{run.collisions} colliding rows quarantined too (run {run.id})"
    )
    if run.removed:
        say(f"  to take it back: lift the constraint, then {command_for(f'undo_dedupe {run.id}', using=run.database)}")


def _remaining(rule: DedupeRule, plan: PlanSummary, run: RunSummary) -> str:
    reasons = [f"  {r.groups} groups, such as that of {r.example}: {r.reason}" for r in (*plan.refused, *run.refused)]
    by_database = any(r.reason.startswith(BY_DATABASE) for r in run.refused)
    beforehand = (
        " What the new constraint itself refuses, as rows that get one key by this, goes before it is added: by "
        "`manage.py dedupe` with the same rule, as often as it leaves any, or by RemoveDuplicates in a migration."
        if by_database
        else ""
    )
    return "\n".join(
        [
            f"{run.groups_left} duplicate groups of {_key(rule)} remain in {run.table}:",
            *dict.fromkeys(reasons),
            f"Settle these, then run this again.{beforehand}",
        ]
    )


def _key(rule: DedupeRule) -> str:
    return ", ".join(rule.fields) or getattr(rule.constraint, "name", rule.name)
