"""Batches on several connections at once: spans are handed out in order, and committed in that order.

So a run's cursor means what it means with one connection: all before it is done, nothing behind it. A batch that is
through before its turn waits for it with its transaction open, as long as a batch may take; then it is taken back,
and tried again when its turn has come. Whatever goes wrong in one lane ends them all: the span is then treated on
one connection, which knows what to do about a group that the database refuses, a statement that takes too long, a
session that was ended, and a run that was paused (``batches``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import Final

from django.db import DatabaseError, connections

from integrity.backends import get_rows
from integrity.dedupe.batches import Work, advance, all_batches, hold, locked_run
from integrity.dedupe.progress import Progress
from integrity.dedupe.results import RunSummary
from integrity.dedupe.spans import Span
from integrity.dedupe.throttle import Pace, Stopped
from integrity.exceptions import IntegrityAppError
from integrity.signals import batch_done

_MOST_TROUBLES: Final = 20
"""After as many, and one for each ten batches, lanes seem to be in each other's way, and the rest goes in one."""


class NotItsTurn(Exception):
    """The batches before are not committed; this one is taken back."""


class OneConnection(IntegrityAppError):
    """The run cannot have several connections."""


def require_lanes(pace: Pace, *, using: str) -> None:
    """Check that a run may have as many connections as it is to have.

    Raises:
        OneConnection: it may not.
    """
    rows = get_rows(using=using)
    if pace.connections == 1:
        return
    if not rows.many_writers:
        raise OneConnection(f"Database {using!r} has one writer at a time. Leave the number of connections out.")
    if rows.connection.in_atomic_block:
        raise OneConnection(
            "Inside a transaction all batches are part of it, on its connection. Leave the number of connections out."
        )


class Spans:
    """Hands out the spans of a run, and tells when all before one are committed. Shared by the lanes of a process."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._given = work.run.cursor
        self._changed = Condition()
        self.done: int = work.run.cursor
        """All units up to here are committed."""
        self.committed = 0
        """How many spans."""
        self.trouble: int | None = None
        """Where the span ends in which something went wrong; no more are handed out."""

    def take(self) -> Span | None:
        """The next span; None if there is none."""
        with self._changed:
            if self.trouble is not None or self._given >= self._work.last:
                return None
            span = (self._given, min(self._given + self._work.size.groups, self._work.last))
            self._given = span[1]
            return span

    def comes(self, span: Span, *, within: float | None = None) -> bool:
        """Wait, for so many seconds at most, for the turn of a span; whether it has come."""
        with self._changed:
            self._changed.wait_for(lambda: self.done == span[0] or self.trouble is not None, within)
            return self.done == span[0]

    def commit(self, span: Span, *, took: float) -> None:
        """Note that a span is committed, after so many seconds."""
        with self._changed:
            self.done = span[1]
            self.committed += 1
            self._work.size.adapt(span[1] - span[0], took=took)
            self._changed.notify_all()

    def end(self, span: Span) -> None:
        """Hand out no more: something went wrong in a span."""
        with self._changed:
            self.trouble = max(self.trouble or 0, span[1])
            self._changed.notify_all()


def all_in_lanes(work: Work, another: Callable[[], Work]) -> None:
    """Resolve everything after the run's cursor, on as many connections as the pace allows.

    ``another`` makes the same work for the connection of the thread that calls it.

    Raises:
        DatabaseError: a connection could not be opened.
    """
    troubles, committed = 0, 0
    while work.run.cursor < work.last and work.pace.connections > 1:
        spans = Spans(work)
        _run_lanes(work, another, spans)
        work.run.cursor, committed = spans.done, committed + spans.committed
        if spans.trouble is not None:
            all_batches(work, until=spans.trouble)
            troubles += 1
        if troubles > _MOST_TROUBLES + committed // 10:
            break
    all_batches(work, until=work.last)


def _run_lanes(work: Work, another: Callable[[], Work], spans: Spans) -> None:
    """Work in this thread and in others until nothing is left, or something goes wrong."""
    with ThreadPoolExecutor(work.pace.connections - 1, thread_name_prefix="integrity-lane") as others:
        beside = [others.submit(_other_lane, another, spans, lane) for lane in range(1, work.pace.connections)]
        _lane(work, spans, 0)
    for lane in beside:
        lane.result()


def _other_lane(another: Callable[[], Work], spans: Spans, lane: int) -> None:
    try:
        _lane(another(), spans, lane)
    except BaseException:
        spans.end((0, spans.done))  # so that nobody waits for this lane
        raise
    finally:
        connections.close_all()  # this thread's


def _lane(work: Work, spans: Spans, lane: int) -> None:
    while (span := spans.take()) is not None:
        try:
            hold(work)
            if lane == 0:
                work.report(Progress(step="removing duplicates", done=spans.done, total=work.last))
            began = time.monotonic()
            while not _resolved(work, spans, span, lane):
                if not spans.comes(span):
                    return
            spans.commit(span, took=time.monotonic() - began)
            work.pace.rest()
        except (DatabaseError, IntegrityAppError, Stopped):
            spans.end(span)  # on one connection it comes again, or does not
        except BaseException:
            spans.end(span)
            raise


def _resolved(work: Work, spans: Spans, span: Span, lane: int) -> bool:
    """Resolve a span and commit it, if its turn comes within the time that a batch may take."""

    def resolve_ahead() -> Counter[str]:
        work.watch.check()
        done = work.resolver.resolve(span)
        if not spans.comes(span, within=work.pace.batch_time.total_seconds()):
            raise NotItsTurn
        run = locked_run(work)
        if run.cursor != span[0]:
            raise Stopped  # another process at this run was here
        advance(work, run, span, done)
        return done

    try:
        done = work.in_turn(resolve_ahead, size=span[1] - span[0], lane=lane)
    except NotItsTurn:
        return False
    batch_done.send(sender=RunSummary, using=work.target.using, run=work.run.pk, counts=dict(done))
    return True
