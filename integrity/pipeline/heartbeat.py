"""Keep leases alive while their holders work: one thread for all of a process, and a connection for each beat."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from typing import Final

from django.db import DatabaseError, InterfaceError, connections

from integrity.queue import KeyedQueue, Lease

log = logging.getLogger(__name__)


@dataclass(eq=False, kw_only=True)
class Beat:
    """Leases that are to be extended at ``due`` by the monotonic clock, and again after every ``period`` seconds."""

    leases: set[Lease]
    lease_time: timedelta
    queue: KeyedQueue
    period: float
    due: float
    lock: threading.Lock = field(default_factory=threading.Lock)

    def extend(self) -> None:
        with self.lock:
            self.due += self.period
            if not self.leases:
                return
            try:
                self.queue.extend(sorted(self.leases), vt=self.lease_time)
            except (DatabaseError, InterfaceError) as error:
                log.warning("The lease on %d messages could not be extended: %s", len(self.leases), error)

    def let_go(self, leases: Collection[Lease]) -> None:
        """Extend these no more. If they are being extended, wait until they are."""
        with self.lock:
            self.leases.difference_update(leases)


class _Pulse:
    """The thread, started with the first heartbeat of the process; it sleeps until a beat is due."""

    def __init__(self) -> None:
        self._beats: set[Beat] = set()
        self._changed = threading.Condition()
        self._wakes = 0.0
        self._thread = threading.Thread()

    def add(self, beat: Beat) -> None:
        with self._changed:
            self._beats.add(beat)
            if not self._thread.is_alive():  # nor in a process that was forked
                self._thread = threading.Thread(target=self._run, name="lease heartbeat", daemon=True)
                self._thread.start()
            elif beat.due < self._wakes:
                self._changed.notify()

    def remove(self, beat: Beat) -> None:
        with self._changed:
            self._beats.discard(beat)
        beat.let_go(tuple(beat.leases))

    def _run(self) -> None:
        while True:
            for beat in self._next():
                beat.extend()
                connections[beat.queue.using].close()
                with suppress(AttributeError):
                    del connections[beat.queue.using]  # the next beat may be long after, by other settings

    def _next(self) -> list[Beat]:
        """Wait for the beats that are due. To notice none is enough: most end before they are."""
        with self._changed:
            self._wakes = min((beat.due for beat in self._beats), default=inf)
            self._changed.wait(None if self._wakes == inf else max(0.0, self._wakes - time.monotonic()))
            return [beat for beat in self._beats if beat.due <= time.monotonic()]


_PULSE: Final = _Pulse()


@contextmanager
def heartbeat(leases: Collection[Lease], *, lease_time: timedelta, queue: KeyedQueue) -> Iterator[Beat]:
    """Extend the leases every third of ``lease_time`` until left or let go, on another thread and connection.

    Leases on messages that are archived meanwhile may stay; one on a message to be given back is let go before.
    A beat that fails is logged and tried again: the worst that can follow is that somebody else does the work, too.
    """
    period = lease_time.total_seconds() / 3
    beat = Beat(leases=set(leases), lease_time=lease_time, queue=queue, period=period, due=time.monotonic() + period)
    _PULSE.add(beat)
    try:
        yield beat
    finally:
        _PULSE.remove(beat)
