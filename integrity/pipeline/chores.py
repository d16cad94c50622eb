"""What workers do besides their jobs, so that the system heals itself.

A chore is claimed by moving its time on in the database: of all workers that find it due, one does it. That works
behind a connection pooler, where a session's advisory lock does not, and a worker that dies in the middle of a
chore only delays it by one interval. Chores may overlap with anything, themselves included.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.db import DatabaseError, InterfaceError

from integrity.backends import get_rows
from integrity.backends.sql import SQL
from integrity.pipeline.orphans import purge_orphans
from integrity.pipeline.reconcile import reconcile
from integrity.pipeline.retention import remove_old
from integrity.pipeline.serving import serve_overdue
from integrity.queue import KeyedQueue

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 1.0  # seconds between two looks at the database's table of chores
INTERVALS: Final[Mapping[str, timedelta]] = {
    "serve": timedelta(seconds=10),
    "reconcile": timedelta(minutes=1),
    "orphans": timedelta(minutes=5),
    "retention": timedelta(hours=1),
}


@dataclass(kw_only=True)
class Chores:
    """The chores of one queue, as one worker sees them."""

    queue: KeyedQueue
    model: str
    intervals: Mapping[str, timedelta] = field(default_factory=lambda: INTERVALS)

    def __post_init__(self) -> None:
        self._next_look = 0.0
        self._does: dict[str, Callable[[], Any]] = {
            "serve": lambda: len(serve_overdue(limit=1000, queue=self.queue)),
            "reconcile": lambda: reconcile(queue=self.queue, model=self.model),
            "orphans": lambda: purge_orphans(queue=self.queue),
            "retention": lambda: remove_old(queue=self.queue),
        }

    def do_due(self) -> list[str]:
        """Do the chores that are due and that nobody else does; return their names.

        One that fails is logged, and tried again when it is due again.
        """
        if time.monotonic() < self._next_look:
            return []
        self._next_look = time.monotonic() + min([LOOK_EVERY, *(i.total_seconds() for i in self.intervals.values())])
        return [name for name in self.intervals if self._claim(name) and self._do(name)]

    def _do(self, name: str) -> bool:
        try:
            log.info("%s: %s", name, self._does[name]())
        except (DatabaseError, InterfaceError) as error:
            log.warning("The chore %s failed; the others go on: %s", name, error)
            return False
        return True

    def _claim(self, name: str) -> bool:
        interval = self.intervals[name]
        return bool(
            get_rows(using=self.queue.using).fetch(
                SQL("""
                    INSERT INTO integrity_chore AS c (name, done_at) VALUES (%s, clock_timestamp())
                    ON CONFLICT (name) DO UPDATE SET done_at = excluded.done_at
                    WHERE c.done_at <= clock_timestamp() - %s::interval
                    RETURNING 1
                """),
                (f"{self.queue.name}: {name}", interval),
            )
        )
