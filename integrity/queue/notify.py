"""Wake those who wait for messages.

PGMQ's trigger updates a throttle row in every sender's transaction, so that one open transaction blocks all other
senders, and its table is emptied by a crash. Here a sender notifies once, after its commit. A lost notification
costs a wait until the next poll and nothing else.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connections, transaction

from integrity.backends import get_rows
from integrity.backends.postgresql.session import is_direct
from integrity.backends.sql import SQL, compose
from integrity.queue.client import Queue


def channel(queue: Queue) -> str:
    """The channel on which a queue's readers listen."""
    return f"integrity_{queue.name.lower()}"


def notify(queue: Queue) -> None:
    """Wake the queue's readers once the transaction that is open now has committed; at once if none is."""

    def send() -> None:
        get_rows(using=queue.using).fetch(SQL("SELECT pg_notify(%s::text, '')"), (channel(queue),))

    # Robust: the messages are committed; that nobody could be woken is no reason to report a failure.
    transaction.on_commit(send, using=queue.using, robust=True)


def listen(queue: Queue) -> None:
    """Make this thread's connection receive the queue's notifications until it is closed.

    Behind a pooler it does nothing: other people's sessions would receive them.
    """
    if is_direct(connections[queue.using]):
        get_rows(using=queue.using).execute(compose("LISTEN {channel}", channel=channel(queue)))


def wait_for_message(queue: Queue, *, patience: timedelta) -> bool:
    """Return True as soon as a notification arrives, False after ``patience``. Needs ``listen`` first.

    Raises:
        OperationalError: the connection is gone.
    """
    connection: Any = connections[queue.using]
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return any(True for _ in connection.connection.notifies(timeout=patience.total_seconds(), stop_after=1))
