"""The batches of a run: one short transaction for each, the cursor committed with the rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django.db import DatabaseError, OperationalError
from django.db.models.functions import Now

from integrity.backends.fault import headline, ran_too_long, refuses_rows
from integrity.backends.sql import SQL, compose
from integrity.dedupe import states
from integrity.dedupe.drift import SchemaWatch
from integrity.dedupe.progress import Progress, Report
from integrity.dedupe.refusals import BY_DATABASE
from integrity.dedupe.resolver import Resolver
from integrity.dedupe.results import RunSummary
from integrity.dedupe.sizes import BatchSize
from integrity.dedupe.spans import Span, spans_of
from integrity.dedupe.target import Target
from integrity.dedupe.throttle import Pace, Stopped
from integrity.dedupe.turns import T, in_turn
from integrity.signals import batch_done

_TRIES: Final = 5
_MOST_BUSY = 1000
"""Spans of units of which a row was locked that get another chance."""
_MOST_LEFT_OUT = 100
"""Groups that the database may refuse; with more of them, it is not the groups that are at fault."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A run with all that its batches need."""

    run: Any
    target: Target
    resolver: Resolver
    watch: SchemaWatch
    last: int
    """The last unit."""
    size: BatchSize
    pace: Pace
    report: Report

    def in_turn(self, act: Callable[[], T], *, size: int = 1, lane: int | None = None) -> T:
        """``act`` in a short transaction that has the table to itself, or to the lanes of its process."""
        # One group takes what it takes.
        limit = self.pace.batch_time if self.size.adapts and size > 1 else None
        table, using = self.target.table, self.target.using
        return in_turn(act, table=table, using=using, limit=limit, lane=lane, stop=self.pace.stop)


def all_batches(work: Work, *, until: int) -> None:
    """Resolve everything after the run's cursor and up to a unit, at the pace that is wanted.

    Where the database refuses a batch, the group that it refuses is found by halving, and left as it is. A batch whose
    size may adapt is taken back and halved too where one of its statements takes all the time that it may take.

    Raises:
        Stopped: the run was paused or cancelled, or is to stop here.
        DatabaseError: a batch failed however often it was tried, or the database refuses one group after another.
        IntegrityAppError: what came about is not what the plan says.
    """
    cursor, left_out = work.run.cursor, 0
    while cursor < until:
        hold(work)
        work.report(Progress(step="removing duplicates", done=cursor, total=work.last))
        began, size = time.monotonic(), work.size.groups
        try:
            cursor = _one_batch(work, size)
        except DatabaseError as error:
            if size > 1 and (refuses_rows(error) or ran_too_long(error)):
                work.size.halve()
                continue
            if not refuses_rows(error) or left_out == _MOST_LEFT_OUT:
                raise
            cursor = work.in_turn(partial(_leave_out, work, cursor, headline(error)))
            left_out += 1
        work.size.adapt(size, took=time.monotonic() - began)
        if cursor < work.last:
            work.pace.rest()
    work.run.cursor = cursor
    work.report(Progress(step="removing duplicates", done=cursor, total=work.last))


def hold(work: Work) -> None:
    """Return when the next batch may begin.

    Raises:
        Stopped: none is to begin.
    """
    work.pace.hold(using=work.target.using, still_wanted=lambda: _is_running(work), report=work.report)


def _one_batch(work: Work, size: int) -> int:
    """Resolve the next span after the run's cursor, whoever moved that last; return the cursor after."""
    for attempt in range(1, _TRIES + 1):
        try:
            return _try_batch(work, size)
        except OperationalError as error:
            # Deadlock, SQLite's "database is locked", a session that was ended: the batch was rolled back and may
            # pass now, on a new connection if need be. Its cursor tells whether an unanswered COMMIT took place.
            given_up = attempt == _TRIES or work.resolver.rows.connection.in_atomic_block
            if given_up or (size > 1 and ran_too_long(error)):
                raise
            time.sleep(0.05 * 2**attempt)
    raise AssertionError("unreachable")


def _try_batch(work: Work, size: int) -> int:
    def resolve_next() -> tuple[Any, Counter[str]]:
        done: Counter[str] = Counter()
        run = locked_run(work)
        if run.cursor < work.last:
            span = (run.cursor, min(run.cursor + size, work.last))
            work.watch.check()
            done = work.resolver.resolve(span)
            advance(work, run, span, done)
        return run, done

    run, done = work.in_turn(resolve_next, size=size)
    batch_done.send(sender=RunSummary, using=work.target.using, run=run.pk, counts=dict(done))
    return int(run.cursor)


def advance(work: Work, run: Any, span: Span, done: Counter[str]) -> None:
    """Bring a run, which is locked, to the end of a span; what was done there becomes part of its counts."""
    run.cursor = span[1]
    _count(run, done)
    run.updated_at = Now()
    run.save(using=work.target.using, update_fields=["cursor", "counts", "updated_at"])


def _leave_out(work: Work, cursor: int, why: str) -> int:
    """Pass over the unit after the cursor, which the database refuses; return the cursor after.

    Where it is a row of a group that goes row by row, the rest of the group is refused with it.
    """
    run = locked_run(work)
    if run.cursor != cursor:
        return int(run.cursor)  # another process at this run had its turn: it may be another unit that was refused
    work.resolver.rows.execute(
        compose(
            """
            INSERT INTO {refusals} (unit, grp, reason) SELECT DISTINCT unit, grp, %s FROM {root}
            WHERE unit = %s OR (unit > %s AND grp IN (SELECT grp FROM {root} WHERE unit = %s AND unit > grp))
            """,
            refusals=work.resolver.refusals,
            root=work.resolver.root.name,
        ),
        (BY_DATABASE + why, *[run.cursor + 1] * 3),
    )
    run.cursor += 1
    run.save(using=work.target.using, update_fields=["cursor"])
    return int(run.cursor)


def locked_run(work: Work) -> Any:
    """The run's row, locked until the batch ends; another process may have moved its cursor meanwhile.

    Raises:
        Stopped: it was paused, or is finished.
        WrongState: it may not go on.
    """
    runs = type(work.run)._base_manager.using(work.target.using).select_for_update()
    run = runs.get(pk=work.run.pk)
    if run.state in (states.PAUSED, states.FINISHED):
        raise Stopped
    if run.state != states.RUNNING:
        raise states.WrongState(f"Run {run.pk} became {run.state} while it was being applied.")
    return run


def _is_running(work: Work) -> bool:
    runs = type(work.run)._base_manager.using(work.target.using)
    return bool(runs.filter(pk=work.run.pk, state=states.RUNNING).exists())


def _count(run: Any, done: Counter[str]) -> None:
    counts = Counter(run.counts)
    counts.update(done)
    counts["batches"] += 1
    run.counts = dict(counts)


def refuse_joined_once(work: Work) -> None:
    """Without an index on the key, looking for new members costs a scan: do it once, before the first batch."""

    def refuse_joined() -> None:
        work.resolver.rows.expect_scan()
        work.resolver.recheck.refuse_joined((work.run.cursor, work.last))

    work.in_turn(refuse_joined)


def busy_ones_again(work: Work) -> None:
    """Give units that were refused only because a row was locked another chance, a few times."""
    rows = work.resolver.rows
    for attempt in range(_TRIES):
        busy = compose(
            "SELECT DISTINCT unit FROM {refusals} WHERE reason = 'busy' ORDER BY 1 LIMIT 100000",
            refusals=work.resolver.refusals,
        )
        spans = spans_of((int(unit) for (unit,) in rows.fetch(busy)), most=work.size.groups)
        if not spans:
            return
        if attempt and not rows.connection.in_atomic_block:
            time.sleep(0.05 * 2**attempt)  # whoever holds the row may let it go
        for span in spans[:_MOST_BUSY]:
            work.in_turn(partial(_retry, work, span))


def _retry(work: Work, span: Span) -> None:
    run, rows = locked_run(work), work.resolver.rows
    busy = compose(
        "FROM {refusals} WHERE unit > %s AND unit <= %s AND reason = 'busy'", refusals=work.resolver.refusals
    )
    if rows.value(SQL(f"SELECT COUNT(DISTINCT unit) {busy}"), span) < span[1] - span[0]:
        return  # another process at this run had its turn, and did it
    rows.execute(SQL(f"DELETE {busy}"), span)
    work.watch.check()
    _count(run, work.resolver.resolve(span))
    run.save(using=work.target.using, update_fields=["counts"])
