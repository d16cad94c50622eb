"""Apply a plan: one short transaction for each batch of groups, the cursor committed with the rows.

At every instant each row is either in its table or in quarantine, and the run's cursor tells which batches are
in. A run that was killed is taken up where its cursor stands; two processes that apply one run take turns.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from django.apps.registry import Apps
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.models.functions import Now

from integrity.backends import get_rows
from integrity.backends.fault import headline
from integrity.backends.sql import compose
from integrity.dedupe import states
from integrity.dedupe.advice import command_for
from integrity.dedupe.batches import Work, busy_ones_again, refuse_joined_once
from integrity.dedupe.books import book, require_books
from integrity.dedupe.drift import SchemaChanged, SchemaWatch
from integrity.dedupe.finder import count_groups
from integrity.dedupe.lanes import all_in_lanes, require_lanes
from integrity.dedupe.plans import UnknownPlan, load_plan, require_applicable, require_digest, stages_of
from integrity.dedupe.progress import Progress, Report, silent
from integrity.dedupe.resolver import Resolver
from integrity.dedupe.results import RunSummary
from integrity.dedupe.rule import DedupeRule
from integrity.dedupe.runs import load_run, summarize_run, ways_on
from integrity.dedupe.sides import SideTables
from integrity.dedupe.sizes import BatchSize
from integrity.dedupe.target import Target, resolve
from integrity.dedupe.throttle import Pace, Stopped
from integrity.dedupe.turns import TableBusy, in_turn
from integrity.exceptions import IntegrityAppError

AT_ONCE: Final = Pace()


class RunFailed(IntegrityAppError):
    """A batch failed for a reason that trying again did not cure. What was committed before it stays."""


def apply_plan(
    plan_id: int,
    rule: DedupeRule,
    *,
    apps: Apps,
    using: str,
    digest: str = "",
    batch_size: int | None = None,
    verify: bool = True,
    pace: Pace = AT_ONCE,
    report: Report = silent,
) -> RunSummary:
    """Do exactly what a plan says, to the rows that are still as it says; verify; return what was done.

    Each batch takes row locks in primary-key order without waiting for any, and aims at 100 ms unless
    ``batch_size`` (groups) is given. In a caller's transaction all batches are part of it. At the end the whole table
    is searched for groups that are left, unless ``verify`` is false. The state of what is returned is not ``finished``
    where somebody paused the run, or ``pace`` was told to stop.

    Raises:
        UnknownPlan: there is no such plan, it has expired, was applied before, or is of another table.
        PlanChanged: ``digest`` is given, and it is not the plan's.
        TableBusy: another run on the table is unfinished.
        VerificationFailed: a batch's outcome was not the plan's; that batch was rolled back.
        RunFailed: the database refused a batch. The run can be resumed.
        OneConnection: ``pace`` wants several, which SQLite and a caller's transaction do not have.
    """
    require_books(using=using)
    require_lanes(pace, using=using)
    target = resolve(rule, apps=apps, using=using)
    run = _start(plan_id, target, apps=apps, digest=digest, pace=pace)
    return _carry_out(run, target, apps=apps, batch_size=batch_size, verify=verify, pace=pace, report=report)


def resume_run(
    run_id: int,
    rule: DedupeRule,
    *,
    apps: Apps,
    using: str,
    batch_size: int | None = None,
    verify: bool = True,
    pace: Pace = AT_ONCE,
    report: Report = silent,
) -> RunSummary:
    """Take up a run that was paused, interrupted, killed or failed; otherwise like ``apply_plan``.

    Raises:
        UnknownRun: there is none.
        WrongState: it is at its end already.
    """
    require_lanes(pace, using=using)
    target = resolve(rule, apps=apps, using=using)
    run = load_run(run_id, apps=apps, using=using)
    if run.state != states.PLANNED:
        states.move_to(run, states.RUNNING, using=using)
    return _carry_out(run, target, apps=apps, batch_size=batch_size, verify=verify, pace=pace, report=report)


def _start(plan_id: int, target: Target, *, apps: Apps, digest: str, pace: Pace) -> Any:
    """Take the plan and open its run, in one transaction."""
    using = target.using
    _require_free(target, apps=apps)

    def open_run() -> Any:
        plan = load_plan(plan_id, apps=apps, using=using, lock=True)
        if plan.table != target.table:
            raise UnknownPlan(f"Plan {plan_id} is for table {plan.table!r}, not for {target.table!r}.")
        require_applicable(plan, apps=apps, using=using)
        require_digest(plan, digest, using=using)
        _require_free(target, apps=apps)
        _watch(plan, target, apps=apps).check()
        book("DedupePlan", apps=apps, using=using).filter(pk=plan_id).update(state="applied")
        runs = book("DedupeRun", apps=apps, using=using)
        return runs.create(plan_id=plan_id, rule=target.rule.name, table=target.table, state=states.PLANNED)

    try:
        return in_turn(open_run, table=target.table, using=using, stop=pace.stop)
    except Stopped:
        raise TableBusy(f"Stopped while waiting for another process to leave table {target.table!r}.") from None


def _require_free(target: Target, *, apps: Apps) -> None:
    runs = book("DedupeRun", apps=apps, using=target.using)
    other = runs.filter(table=target.table, state__in=states.RESUMABLE).first()
    if other is not None:
        raise TableBusy(
            f"Run {other.pk} ({other.rule}) on table {target.table!r} is {other.state}. Finish it first: "
            f"{ways_on(other, apps=apps, using=target.using)}"
        )


def _carry_out(
    run: Any, target: Target, *, apps: Apps, batch_size: int | None, verify: bool, pace: Pace, report: Report
) -> RunSummary:
    using = target.using
    further = ways_on(run, apps=apps, using=using)
    try:
        another = _prepare(run, target, apps=apps, batch_size=batch_size, pace=pace, report=report)
        work = another()
        if not work.resolver.recheck.indexed_key:
            refuse_joined_once(work)
        all_in_lanes(work, another)
        busy_ones_again(work)
        states.move_to(run, states.FINISHED, using=using, finished_at=Now(), details={})
    except Stopped:
        if pace.stop.is_set():
            _leave(run, states.INTERRUPTED, using=using, error="stopped at the border of a batch")
        return summarize_run(run.pk, apps=apps, using=using)
    except (KeyboardInterrupt, SystemExit):
        _leave(run, states.INTERRUPTED, using=using, error="interrupted")
        raise
    except (DatabaseError, IntegrityAppError) as error:
        if isinstance(error, states.WrongState) and run.state == states.FINISHED:  # by another process at this run
            return summarize_run(run.pk, apps=apps, using=using)
        _leave(run, states.FAILED, using=using, error=str(error))
        raise _failure(run, error, using=using, further=further) from error
    left = None
    if verify:
        report(Progress(step="verifying", done=work.last, total=work.last))
        left = count_groups(target).groups
    return summarize_run(run.pk, apps=apps, using=using, groups_left=left)


def _prepare(
    run: Any, target: Target, *, apps: Apps, batch_size: int | None, pace: Pace, report: Report
) -> Callable[[], Work]:
    """Make the tables that the run needs; from then on it is ``running``. Return what makes its work for a thread."""
    using = target.using
    plan = load_plan(run.plan_id, apps=apps, using=using)
    root, stages = stages_of(plan)
    # Tables that both reference have one quarantine, so two runs on different tables take turns here too.
    sides = in_turn(
        lambda: SideTables.prepare(root, stages, apps=apps, using=using),
        table=book("SideTable", apps=apps, using=using).model._meta.db_table,
        using=using,
        stop=pace.stop,
    )
    if run.state == states.PLANNED:
        states.move_to(run, states.RUNNING, using=using)
    last = int(get_rows(using=using).value(compose("SELECT COALESCE(MAX(unit), 0) FROM {root}", root=root.name)))
    groups = plan.document["counts"]["groups"]
    size = BatchSize(chosen=batch_size, wanted=pace.batch_time)
    return lambda: Work(
        run=run,
        target=target,
        resolver=Resolver(
            run=run.pk,
            target=target,
            root=root,
            stages=stages,
            sides=sides,
            apart_from=groups if last > groups else None,
            indexed_key=plan.document["indexed_key"],
        ),
        watch=_watch(plan, target, apps=apps),
        last=last,
        size=size,
        pace=pace,
        report=report,
    )


def _watch(plan: Any, target: Target, *, apps: Apps) -> SchemaWatch:
    root, stages = stages_of(plan)
    return SchemaWatch(target=target, root=root, stages=stages, apps=apps)


def _leave(run: Any, state: str, *, using: str, error: str) -> None:
    """Note the state if the connection still allows it; if not, the run stays ``running`` and can be resumed."""
    with suppress(DatabaseError, states.WrongState), transaction.atomic(using=using):
        states.move_to(run, state, using=using, details={"error": error})


def _failure(run: Any, error: Exception, *, using: str, further: str) -> IntegrityAppError:
    if isinstance(error, IntegrityAppError) and not isinstance(error, SchemaChanged):
        return error
    said = headline(error).rstrip(".")
    if get_rows(using=using).connection.in_atomic_block:
        return RunFailed(
            f"The run failed: {said}. It is part of a larger transaction and goes back with that, as if it had never "
            "begun. Change what the message names, then run the same again."
        )
    if isinstance(error, SchemaChanged):
        further = f"end the run where it is: {command_for(f'dedupe --cancel {run.pk}', using=using)}"
    elif not isinstance(error, (OperationalError, InterfaceError)):  # it would fail again
        further = f"change what the message names, then {further}"
    return RunFailed(
        f"Run {run.pk} stopped: {said}. Batches committed before stay done, the last one was rolled back; nothing is "
        f"lost. Finish it: {further}"
    )
