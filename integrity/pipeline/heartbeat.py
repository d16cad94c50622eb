"""Keep a lease alive while its holder works."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connections

from integrity.queue import KeyedQueue, Lease

log = logging.getLogger(__name__)


@contextmanager
def heartbeat(leases: Sequence[Lease], *, lease_time: timedelta, queue: KeyedQueue) -> Iterator[None]:
    """Extend the leases every third of ``lease_time``, from a thread and a connection of its own, until left.

    The thread opens its connection with its first beat: a batch that is done sooner costs none. A beat that fails
    is logged and tried again: the worst that can follow is that somebody else does the work, too.
    """
    done = threading.Event()
    thread = threading.Thread(
        target=_beat, args=(done, list(leases), lease_time, queue), name="lease heartbeat", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _beat(done: threading.Event, leases: list[Lease], lease_time: timedelta, queue: KeyedQueue) -> None:
    try:
        while not done.wait(lease_time.total_seconds() / 3):
            try:
                queue.extend(leases, vt=lease_time)
            except (DatabaseError, InterfaceError) as error:
                log.warning("The lease on %d messages could not be extended: %s", len(leases), error)
                connections[queue.using].close()
    finally:
        connections[queue.using].close()
