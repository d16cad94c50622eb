"""Apply a plan: one short transaction for each batch of groups, the cursor committed with the rows.

At every instant each row is either in its table or in quarantine, and the run's cursor tells which batches are
in. A run that was killed is taken up where its cursor stands; two processes that apply one run take turns.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps.registry import Apps
from django.db import DatabaseError, OperationalError, transaction
from django.db.models.functions import Now

from integrity import conf
from integrity.backends import get_rows
from integrity.backends.sql import compose
from integrity.dedupe import states
from integrity.dedupe.books import book, require_books
from integrity.dedupe.finder import count_groups
from integrity.dedupe.plan import UnknownPlan, load_plan, stages_of
from integrity.dedupe.progress import Progress, Report, silent
from integrity.dedupe.refusals import refusal_summary, refusals_of
from integrity.dedupe.resolver import Resolver, SideTables, Span
from integrity.dedupe.results import RunSummary
from integrity.dedupe.rule import DedupeRule
from integrity.dedupe.target import Target, resolve
from integrity.exceptions import IntegrityAppError
from integrity.signals import batch_done

_TARGET_TIME = timedelta(milliseconds=100)
_FIRST_SIZE = 200
_TRIES = 5


class TableBusy(IntegrityAppError):
    """Another run has the table."""


class RunFailed(IntegrityAppError):
    """A batch failed for a reason that trying again did not cure. What was committed before it stays."""


@dataclass(frozen=True, kw_only=True)
class _Work:
    """A run with all that its batches need."""

    run: Any
    target: Target
    resolver: Resolver
    last: int


def apply_plan(
    plan_id: int,
    rule: DedupeRule,
    *,
    apps: Apps,
    using: str,
    batch_size: int | None = None,
    report: Report = silent,
) -> RunSummary:
    """Do exactly what a plan says, to the rows that are still as it says; verify; return what was done.

    Each batch takes row locks in primary-key order without waiting for any, and aims at 100 ms unless
    ``batch_size`` (groups) is given. In a caller's transaction all batches are part of it.

    Raises:
        UnknownPlan: there is no such plan, it has expired, or it was applied before.
        TableBusy: another run on the table is unfinished.
        VerificationFailed: a batch's outcome was not the plan's; that batch was rolled back.
        RunFailed: the database refused a batch. The run can be resumed.
    """
    require_books(using=using)
    target = resolve(rule, apps=apps, using=using)
    run = _start(plan_id, target, apps=apps)
    return _carry_out(run, target, apps=apps, batch_size=batch_size, report=report)


def resume_run(
    run_id: int,
    rule: DedupeRule,
    *,
    apps: Apps,
    using: str,
    batch_size: int | None = None,
    report: Report = silent,
) -> RunSummary:
    """Take up a run that was interrupted, failed or killed; otherwise like ``apply_plan``."""
    target = resolve(rule, apps=apps, using=using)
    run = book("DedupeRun", apps=apps, using=using).get(pk=run_id)
    states.move_to(run, states.RUNNING, using=using)
    return _carry_out(run, target, apps=apps, batch_size=batch_size, report=report)


def unfinished_run(rule: DedupeRule, *, apps: Apps, using: str) -> int | None:
    """The run of this rule that has not come to its end, if there is one."""
    require_books(using=using)
    runs = book("DedupeRun", apps=apps, using=using).filter(rule=rule.name, state__in=states.RESUMABLE)
    run = runs.order_by("pk").first()
    return int(run.pk) if run is not None else None


def _start(plan_id: int, target: Target, *, apps: Apps) -> Any:
    """Take the plan and open its run, in one transaction."""
    using = target.using
    runs = book("DedupeRun", apps=apps, using=using)
    with get_rows(using=using).batch(lock_timeout=conf.lock_timeout()):
        plan = load_plan(plan_id, apps=apps, using=using)
        taken = book("DedupePlan", apps=apps, using=using).filter(pk=plan_id, state="planned", expires_at__gte=Now())
        if plan.table != target.table or not taken.update(state="applied"):
            raise UnknownPlan(
                f"Plan {plan_id} cannot be applied: it is {plan.state}, for table {plan.table!r}, and valid until "
                f"{plan.expires_at:%Y-%m-%d %H:%M} UTC. Make a new one."
            )
        other = runs.filter(table=target.table, state__in=states.RESUMABLE).first()
        if other is not None:
            raise TableBusy(
                f"Run {other.pk} ({other.rule}) on table {target.table!r} is {other.state}. "
                "Finish it first: run the same command with --apply again; "
                f"or take it back: manage.py undo_dedupe {other.pk}"
            )
        return runs.create(plan_id=plan_id, rule=target.rule.name, table=target.table, state=states.RUNNING)


def _carry_out(run: Any, target: Target, *, apps: Apps, batch_size: int | None, report: Report) -> RunSummary:
    using = target.using
    plan = load_plan(run.plan_id, apps=apps, using=using)
    root, stages = stages_of(plan)
    with get_rows(using=using).batch(lock_timeout=conf.lock_timeout()):
        sides = SideTables.prepare(root, stages, apps=apps, using=using)
    resolver = Resolver(
        run=run.pk,
        target=target,
        root=root,
        stages=stages,
        sides=sides,
        indexed_key=plan.document["indexed_key"],
    )
    last = int(get_rows(using=using).value(compose("SELECT COALESCE(MAX(unit), 0) FROM {root}", root=root.name)))
    work = _Work(run=run, target=target, resolver=resolver, last=last)
    try:
        if not plan.document["indexed_key"]:
            _refuse_joined_once(work)
        _all_batches(work, batch_size=batch_size, report=report)
        _busy_ones_again(work)
    except KeyboardInterrupt:
        _leave(run, states.INTERRUPTED, using=using, error="interrupted")
        raise
    except (DatabaseError, IntegrityAppError) as error:
        _leave(run, states.FAILED, using=using, error=str(error))
        raise _failure(run, error) from error
    run.refresh_from_db(using=using)
    states.move_to(run, states.FINISHED, using=using, finished_at=Now())
    report(Progress(step="verifying", done=last, total=last))
    left = count_groups(target).groups
    return summarize_run(run.pk, apps=apps, using=using, groups_left=left)


def _all_batches(work: _Work, *, batch_size: int | None, report: Report) -> None:
    size = batch_size or min(_FIRST_SIZE, conf.most_groups_per_batch())
    cursor = work.run.cursor
    while cursor < work.last:
        report(Progress(step="removing duplicates", done=cursor, total=work.last))
        began = time.monotonic()
        cursor = _one_batch(work, size)
        if batch_size is None:
            size = _adapted(size, took=time.monotonic() - began)
    report(Progress(step="removing duplicates", done=work.last, total=work.last))


def _adapted(size: int, *, took: float) -> int:
    """The size with which a batch would have met its target time, changed by no more than a factor of two."""
    wanted = size * _TARGET_TIME.total_seconds() / max(took, 0.001)
    return int(max(1, size / 2, min(wanted, size * 2, conf.most_groups_per_batch())))


def _one_batch(work: _Work, size: int) -> int:
    """Resolve the next span after the run's cursor, whoever moved that last; return the cursor after."""
    for attempt in range(1, _TRIES + 1):
        try:
            return _try_batch(work, size)
        except OperationalError:
            # Deadlock, SQLite's "database is locked", a session that was ended: the batch was rolled back and may
            # pass now, on a new connection if need be. Its cursor tells whether an unanswered COMMIT took place.
            if attempt == _TRIES or work.resolver.rows.connection.in_atomic_block:
                raise
            time.sleep(0.05 * 2**attempt)
    raise AssertionError("unreachable")


def _try_batch(work: _Work, size: int) -> int:
    rows, using = work.resolver.rows, work.target.using
    done: Counter[str] = Counter()
    with rows.batch(lock_timeout=conf.lock_timeout()):
        if not rows.claim_table(work.target.table):
            raise OperationalError(f"another run is changing {work.target.table}")
        run = _locked_run(work)
        span = (run.cursor, run.cursor + size)
        if run.cursor < work.last:
            done = work.resolver.resolve(span)
            run.cursor = min(span[1], work.last)
            _count(run, done)
            run.updated_at = Now()
            run.save(using=using, update_fields=["cursor", "counts", "updated_at"])
    batch_done.send(sender=RunSummary, using=using, run=run.pk, counts=dict(done))
    return int(run.cursor)


def _locked_run(work: _Work) -> Any:
    """The run's row, locked until the batch ends; another process may have moved its cursor meanwhile."""
    runs = type(work.run)._base_manager.using(work.target.using).select_for_update()
    run = runs.get(pk=work.run.pk)
    if run.state != states.RUNNING:
        raise states.WrongState(f"Run {run.pk} became {run.state} while it was being applied.")
    return run


def _count(run: Any, done: Counter[str]) -> None:
    counts = Counter(run.counts)
    counts.update(done)
    counts["batches"] += 1
    run.counts = dict(counts)


def _refuse_joined_once(work: _Work) -> None:
    """Without an index on the key, looking for new members costs a scan: do it once, before the first batch."""
    with work.resolver.rows.batch(lock_timeout=conf.lock_timeout()):
        work.resolver.refuse_joined((work.run.cursor, work.last))


def _busy_ones_again(work: _Work) -> None:
    """Give units that were refused only because a row was locked another chance, a few times."""
    rows = work.resolver.rows
    refusals = refusals_of(work.resolver.root)
    for attempt in range(_TRIES):
        busy = compose("SELECT DISTINCT unit FROM {refusals} WHERE reason = 'busy' LIMIT 1000", refusals=refusals)
        units = [unit for (unit,) in rows.fetch(busy)]
        if not units:
            return
        if attempt and not rows.connection.in_atomic_block:
            time.sleep(0.05 * 2**attempt)
        for unit in units:
            _retry_unit(work, int(unit), refusals)


def _retry_unit(work: _Work, unit: int, refusals: str) -> None:
    rows = work.resolver.rows
    span: Span = (unit - 1, unit)
    with rows.batch(lock_timeout=conf.lock_timeout()):
        run = _locked_run(work)
        rows.execute(compose("DELETE FROM {refusals} WHERE unit = %s AND reason = 'busy'", refusals=refusals), (unit,))
        _count(run, work.resolver.resolve(span))
        run.save(using=work.target.using, update_fields=["counts"])


def _leave(run: Any, state: str, *, using: str, error: str) -> None:
    """Note the state if the connection still allows it; if not, the run stays ``running`` and can be resumed."""
    try:
        with transaction.atomic(using=using):
            type(run)._base_manager.using(using).filter(pk=run.pk).update(
                state=state, updated_at=Now(), details={"error": error}
            )
    except DatabaseError:
        return


def _failure(run: Any, error: Exception) -> IntegrityAppError:
    if isinstance(error, IntegrityAppError):
        return error
    return RunFailed(
        f"Run {run.pk} stopped: {str(error).strip()}. Batches committed before stay done, the last one was rolled "
        "back; nothing is lost. Run the same command with --apply again to finish it."
    )


def list_runs(*, apps: Apps, using: str) -> tuple[RunSummary, ...]:
    """Return all runs, newest first."""
    require_books(using=using)
    numbers = book("DedupeRun", apps=apps, using=using).order_by("-pk").values_list("pk", flat=True)
    return tuple(summarize_run(number, apps=apps, using=using) for number in numbers)


def summarize_run(run_id: int, *, apps: Apps, using: str, groups_left: int | None = None) -> RunSummary:
    """Return what a run has done so far."""
    run = book("DedupeRun", apps=apps, using=using).get(pk=run_id)
    root, _ = stages_of(load_plan(run.plan_id, apps=apps, using=using))
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
        refused=refusal_summary(root, using=using),
        groups_left=groups_left,
    )
