"""PGMQ's functions, one method each, every parameter cast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from integrity.backends import Rows, get_rows
from integrity.backends.sql import SQL, as_value, compose
from integrity.backends.supported import require_postgresql
from integrity.exceptions import IntegrityAppError
from integrity.queue.advice import install_command
from integrity.queue.columns import lacking_columns
from integrity.queue.leases import Lease
from integrity.queue.message import Message, decoded, json_text
from integrity.queue.names import archive_table, checked_name, queue_table

LARGEST = 1 << 62  # bytes: no limit


class QueueMissing(IntegrityAppError):
    """There is no such queue in this database."""


class QueueOutdated(IntegrityAppError):
    """The queue's tables lack what the functions of a newer PGMQ need."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """One queue of one database. Every method is one statement and takes part in the caller's transaction."""

    name: str
    using: str = DEFAULT_DB_ALIAS

    def __post_init__(self) -> None:
        checked_name(self.name)

    @property
    def rows(self) -> Rows:
        """Where statements run: Django's own connection."""
        return get_rows(using=self.using)

    @property
    def table(self) -> SQL:
        """The quoted table of the messages that wait."""
        return queue_table(self.name)

    @property
    def archived(self) -> SQL:
        """The quoted table of the messages that are done with."""
        return archive_table(self.name)

    def create(self) -> None:
        """Create the queue where it is missing. Takes PGMQ's advisory lock on the queue's name, if it is.

        One whose tables are there is listed in ``pgmq.meta`` again, where PGMQ was dropped and installed anew.

        Raises:
            QueueOutdated: it is there, and older than PGMQ's functions.
        """
        # PGMQ's own function would take SHARE on a queue that is there, and all senders would wait behind that.
        if not self.exists():
            self.rows.fetch(SQL("SELECT pgmq.create(%s::text)"), (self.name,))
        elif not self._is_listed():
            self._list()
        self._require_columns()

    def drop(self) -> bool:
        """Drop the queue with its messages and its archive; return whether it was there."""
        return bool(self.rows.value(SQL("SELECT pgmq.drop_queue(%s::text)"), (self.name,)))

    def exists(self) -> bool:
        """Whether the queue's two tables are there."""
        both = SQL("SELECT to_regclass(%s) IS NOT NULL AND to_regclass(%s) IS NOT NULL")
        return bool(self.rows.value(both, (as_value(self.table), as_value(self.archived))))

    def require(self) -> None:
        """Make sure that there is something to work on.

        Raises:
            QueueMissing: there is no such queue.
            QueueOutdated: it is older than PGMQ's functions.
            UnsupportedDatabase: this is not PostgreSQL.
        """
        require_postgresql(what="The queue", using=self.using)
        if not self.exists():
            command = install_command(using=self.using, queue=self.name)
            raise QueueMissing(f"There is no queue {self.name!r}. Run: {command}.")
        self._require_columns()

    def _is_listed(self) -> bool:
        listed = SQL("SELECT EXISTS (SELECT 1 FROM pgmq.meta WHERE lower(queue_name) = lower(%s))")
        return bool(self.rows.value(listed, (self.name,)))

    def _list(self) -> None:
        self.rows.execute(
            SQL("""
                INSERT INTO pgmq.meta (queue_name, is_partitioned, is_unlogged)
                SELECT %s, relkind = 'p', relpersistence = 'u' FROM pg_catalog.pg_class WHERE oid = to_regclass(%s)
                ON CONFLICT DO NOTHING
            """),
            (self.name, as_value(self.table)),
        )

    def _require_columns(self) -> None:
        if missing := lacking_columns(self.name, using=self.using):
            raise QueueOutdated(
                f"Queue {self.name!r} was made by an older PGMQ, and lacks columns. Run: {'; '.join(missing)}."
            )

    def send(self, message: Any, *, headers: Mapping[str, Any] | None = None, delay: timedelta = timedelta(0)) -> int:
        """Send one message and return its ``msg_id``.

        Raises:
            UnsendableMessage: the message is not JSON, or holds a NUL character.
        """
        return self.send_batch([message], headers=None if headers is None else [headers], delay=delay)[0]

    def send_batch(
        self,
        messages: Sequence[Any],
        *,
        headers: Sequence[Mapping[str, Any]] | None = None,
        delay: timedelta = timedelta(0),
    ) -> list[int]:
        """Send messages in order and return their ``msg_id``; none for none.

        Raises:
            UnsendableMessage: a message is not JSON, or holds a NUL character.
        """
        if not messages:
            return []
        sent = self.rows.fetch(
            SQL("SELECT * FROM pgmq.send_batch(%s::text, %s::jsonb[], %s::jsonb[], clock_timestamp() + %s::interval)"),
            (
                self.name,
                [json_text(message) for message in messages],
                None if headers is None else [json_text(header) for header in headers],
                delay,
            ),
        )
        return [msg_id for (msg_id,) in sent]

    def read(self, *, vt: timedelta, qty: int, largest: int = LARGEST) -> list[Message]:
        """Read up to ``qty`` messages and hide them for ``vt``; larger ones than ``largest`` bytes without body."""
        found = self.rows.fetch(
            SQL("""
                SELECT msg_id, read_ct, octet_length(body),
                       CASE WHEN octet_length(body) <= %s::bigint THEN body END, headers
                FROM (
                    SELECT msg_id, read_ct, message::text AS body, headers
                    FROM pgmq.read(%s::text, %s::integer, %s::integer) OFFSET 0
                ) AS found
                ORDER BY msg_id
            """),
            (largest, self.name, seconds(vt), qty),
        )
        return [_message(*row) for row in found]

    def archive(self, msg_ids: Sequence[int]) -> list[int]:
        """Move messages to the archive, whoever holds them; return those that were there."""
        found = self.rows.fetch(SQL("SELECT * FROM pgmq.archive(%s::text, %s::bigint[])"), (self.name, list(msg_ids)))
        return [msg_id for (msg_id,) in found]

    def delete(self, msg_ids: Sequence[int]) -> list[int]:
        """Delete messages for good, whoever holds them; return those that were there."""
        found = self.rows.fetch(SQL("SELECT * FROM pgmq.delete(%s::text, %s::bigint[])"), (self.name, list(msg_ids)))
        return [msg_id for (msg_id,) in found]

    def set_vt(self, msg_id: int, *, vt: timedelta) -> bool:
        """Hide a message for ``vt`` from now on, whoever holds it; return whether it was there."""
        return bool(
            self.rows.fetch(
                SQL("SELECT msg_id FROM pgmq.set_vt(%s::text, %s::bigint, %s::integer)"),
                (self.name, msg_id, seconds(vt)),
            )
        )

    def purge_queue(self) -> int:
        """Delete all messages, archive none; return how many there were. Takes ACCESS EXCLUSIVE on the queue."""
        return int(self.rows.value(SQL("SELECT pgmq.purge_queue(%s::text)"), (self.name,)))

    def is_empty(self) -> bool:
        """Whether the queue holds no message at all, hidden ones included."""
        return bool(self.rows.value(compose("SELECT NOT EXISTS (SELECT 1 FROM {table})", table=self.table)))


def seconds(period: timedelta) -> int:
    """Whole seconds, at least one: PGMQ's own functions take no fractions."""
    return max(1, round(period.total_seconds()))


def _message(msg_id: int, read_ct: int, size: int | None, text: Any, headers: Any) -> Message:
    body, fault = decoded(text)
    known, _ = decoded(headers)
    headers = known if isinstance(known, dict) else {}
    return Message(Lease(msg_id, read_ct), body, size or 0, headers, fault)
