"""One process at a time changes the rows of a table; another one that wants to waits, and holds no lock meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Final, TypeVar

from integrity import conf
from integrity.backends import get_rows
from integrity.dedupe.throttle import Stopped
from integrity.exceptions import IntegrityAppError

T = TypeVar("T")
_BETWEEN_TRIES: Final = 0.02  # seconds: a batch takes a few times as long
_NEVER: Final = Event()


class TableBusy(IntegrityAppError):
    """Another run has the table."""


def in_turn(
    act: Callable[[], T],
    *,
    table: str,
    using: str,
    limit: timedelta | None = None,
    lane: int | None = None,
    stop: Event = _NEVER,
) -> T:
    """Call ``act`` in a short transaction that has the table to itself, as soon as nobody else has.

    Inside a caller's transaction nobody is waited for, who might be waiting for a row of that transaction. PostgreSQL
    ends a statement that takes longer than the ``limit``. Lanes of different numbers have the table together.

    Raises:
        Stopped: ``stop`` was set before its turn came.
        TableBusy: inside a caller's transaction, another process has the table.
    """
    rows = get_rows(using=using)
    while True:
        with rows.batch(lock_timeout=conf.lock_timeout(), limit=limit):
            if rows.claim_table(table, lane=lane):
                return act()
        if rows.connection.in_atomic_block:
            raise TableBusy(f"Another process is changing rows of table {table!r}. Try again when it has ended.")
        if stop.wait(_BETWEEN_TRIES):
            raise Stopped
