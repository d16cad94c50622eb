"""PGMQ's functions, one method each, every parameter cast; and the same under a lease."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from integrity.backends import Rows, get_rows
from integrity.backends.postgresql_only import require_postgresql
from integrity.backends.sql import SQL, columns, compose
from integrity.exceptions import IntegrityAppError
from integrity.queue.leases import Lease, Return, arrays
from integrity.queue.message import Message, decoded
from integrity.queue.names import archive_table, checked_name, queue_table

LARGEST = 1 << 62  # bytes: no limit
HEADERS = SQL("CASE jsonb_typeof(q.headers) WHEN 'object' THEN q.headers ELSE '{}' END")  # whoever wrote them
COPIED = ("msg_id", "read_ct", "enqueued_at", "vt", "message")  # what the archive has in every version of PGMQ


class QueueMissing(IntegrityAppError):
    """There is no such queue in this database."""


class UnsendableMessage(IntegrityAppError, ValueError):
    """The message is not JSON that PostgreSQL can store."""


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
        """Create the queue where it is missing. Takes PGMQ's advisory lock on the queue's name."""
        self.rows.fetch(SQL("SELECT pgmq.create(%s::text)"), (self.name,))

    def drop(self) -> bool:
        """Drop the queue with its messages and its archive; return whether it was there."""
        return bool(self.rows.value(SQL("SELECT pgmq.drop_queue(%s::text)"), (self.name,)))

    def exists(self) -> bool:
        """Whether the queue's table is there."""
        return self.rows.value(SQL("SELECT to_regclass(%s)"), (str(self.table),)) is not None

    def require(self) -> None:
        """Make sure that there is something to work on.

        Raises:
            QueueMissing: there is no such queue.
            UnsupportedDatabase: this is not PostgreSQL.
        """
        require_postgresql(what="The queue", using=self.using)
        if not self.exists():
            raise QueueMissing(f"There is no queue {self.name!r}. Run: manage.py install_pgmq --queue {self.name}.")

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

    def archive_leased(self, leases: Sequence[Lease], *, outcome: str) -> list[int]:
        """Archive those of these messages whose lease still holds, with the outcome in their headers.

        Returns the ``msg_id`` of those archived. Locks the messages in order of ``msg_id``.
        """
        if not leases:
            return []
        return self.archive_where(
            SQL("""
                SELECT q.msg_id, %s::text FROM {table} AS q
                JOIN unnest(%s::bigint[], %s::integer[]) AS mine (msg_id, read_ct) USING (msg_id, read_ct)
                ORDER BY q.msg_id FOR UPDATE OF q
            """),
            (outcome, *arrays(leases)),
        )

    def set_outcome(self, msg_ids: Sequence[int], *, outcome: str) -> None:
        """Correct the outcome of messages that this very transaction has archived."""
        self.rows.execute(
            compose(
                "UPDATE {archived} SET headers = headers || jsonb_build_object('outcome', %s::text) "
                "WHERE msg_id = ANY(%s::bigint[])",
                archived=self.archived,
            ),
            (outcome, list(msg_ids)),
        )

    def extend(self, leases: Sequence[Lease], *, vt: timedelta) -> int:
        """Hide messages for ``vt`` from now on while their lease holds; return how many.

        Messages that somebody else is archiving at this moment are passed over: waiting for them could deadlock.
        """
        return self.rows.execute(
            compose(
                """
                UPDATE {table} AS q SET vt = GREATEST(q.vt, clock_timestamp() + %s::interval)
                WHERE q.msg_id = ANY(ARRAY(
                    SELECT q.msg_id FROM {table} AS q
                    JOIN unnest(%s::bigint[], %s::integer[]) AS mine (msg_id, read_ct) USING (msg_id, read_ct)
                    ORDER BY q.msg_id FOR UPDATE OF q SKIP LOCKED
                ))
                """,
                table=self.table,
            ),
            (vt, *arrays(leases)),
        )

    def give_back(self, returns: Sequence[Return]) -> int:
        """Let others read these messages after their delay, if the lease still holds; return how many."""
        if not returns:
            return 0
        return self.rows.execute(
            compose(
                """
                WITH given AS MATERIALIZED (
                    SELECT q.msg_id, mine.delay, mine.headers FROM {table} AS q
                    JOIN unnest(%s::bigint[], %s::integer[], %s::interval[], %s::jsonb[])
                         AS mine (msg_id, read_ct, delay, headers) USING (msg_id, read_ct)
                    ORDER BY q.msg_id FOR UPDATE OF q SKIP LOCKED
                )
                UPDATE {table} AS q
                SET vt = clock_timestamp() + given.delay, headers = {headers} || given.headers
                FROM given WHERE q.msg_id = given.msg_id
                """,
                table=self.table,
                headers=HEADERS,
            ),
            (
                *arrays([item.lease for item in returns]),
                [item.delay for item in returns],
                [json_text(item.headers) for item in returns],
            ),
        )

    def archive_where(self, chosen: SQL, params: Sequence[Any]) -> list[int]:
        """Archive the messages that a query yields as ``msg_id, outcome`` and locks in order of ``msg_id``."""
        # By msg_id and not by ctid: a heartbeat may have moved the row after this statement's snapshot was taken.
        found = self.rows.fetch(
            compose(
                """
                WITH chosen (msg_id, outcome) AS MATERIALIZED ({chosen}), gone AS (
                    DELETE FROM {table} AS q USING chosen WHERE q.msg_id = chosen.msg_id
                    RETURNING {q_names}, {headers} || jsonb_build_object('outcome', chosen.outcome)
                )
                INSERT INTO {archived} ({names}, headers) SELECT * FROM gone RETURNING msg_id
                """,
                table=self.table,
                archived=self.archived,
                headers=HEADERS,
                chosen=compose(chosen, table=self.table),
                q_names=columns(COPIED, of="q"),
                names=columns(COPIED),
            ),
            params,
        )
        return [msg_id for (msg_id,) in found]


def seconds(period: timedelta) -> int:
    """Whole seconds, at least one: PGMQ's own functions take no fractions."""
    return max(1, round(period.total_seconds()))


def json_text(value: Any) -> str:
    r"""Return JSON text that a jsonb column can hold.

    Raises:
        UnsendableMessage: it is not JSON, or holds ``\u0000`` or half a surrogate pair, which jsonb cannot.
    """
    try:
        text = json.dumps(value, allow_nan=False)
        if "\\u" in text:
            _require_storable("".join(_texts(value)))
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsendableMessage(
            f"This message cannot be stored as JSON: {error}. Send objects of text, numbers and ids."
        ) from None
    return text


def _require_storable(text: str) -> None:
    text.encode()
    if "\x00" in text:
        raise ValueError("it holds a NUL character")


def _texts(value: Any) -> Iterator[str]:
    """All text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _message(msg_id: int, read_ct: int, size: int | None, text: Any, headers: Any) -> Message:
    body, fault = decoded(text)
    known, _ = decoded(headers)
    return Message(
        msg_id=msg_id,
        read_ct=read_ct,
        body=body,
        size=size or 0,
        headers=known if isinstance(known, dict) else {},
        fault=fault,
    )
