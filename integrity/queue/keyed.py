"""A queue whose messages have a key: no two wait for the same thing, and those about one thing can be found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from integrity.backends.sql import SQL, compose, identifier, joined
from integrity.queue.client import Queue
from integrity.queue.install import InstallationRefused


@dataclass(frozen=True, kw_only=True)
class KeyedQueue(Queue):
    """A PGMQ queue with two indexes more: a unique one on ``key``, and one on ``group``.

    ``key`` and ``group`` name fields of the message. A message that lacks a field of the key has no key and is
    never a duplicate, so that messages from elsewhere can be sent to the same queue.
    """

    key: tuple[str, ...]
    group: str

    def create(self) -> None:
        """Create the queue and its indexes where they are missing. Takes SHARE on the queue for an index.

        Raises:
            InstallationRefused: messages with the same key are waiting already.
        """
        super().create()
        try:
            with transaction.atomic(using=self.using):
                self._create_index("key", self.key, unique=True)
                self._create_index("group", (self.group,), unique=False)
        except IntegrityError as error:
            raise InstallationRefused(
                f"Queue {self.name!r} holds several messages with the same {', '.join(self.key)}. "
                "Let its workers empty it, or archive the duplicates, then run install_pgmq again."
            ) from error

    def indexes(self) -> tuple[str, str]:
        """Names of the two indexes."""
        return self._index_name("key"), self._index_name("group")

    def send_missing(self, messages: SQL, params: Sequence[Any] = ()) -> list[int]:
        """Send what a query yields in its only column, ``message jsonb``, unless its key is waiting already."""
        sent = self.rows.fetch(
            compose(
                "INSERT INTO {table} (vt, message) SELECT clock_timestamp(), message FROM ({messages}) AS wanted "
                "ON CONFLICT DO NOTHING RETURNING msg_id",
                table=self.table,
                messages=messages,
            ),
            params,
        )
        return [msg_id for (msg_id,) in sent]

    def cancel(self, group: str, *, outcome: str) -> int:
        """Archive every message of a group, those being worked on included; return how many.

        Locks them in order of ``msg_id``. Whoever holds one finds its lease gone.
        """
        chosen = compose(
            "SELECT msg_id FROM {table} WHERE {field} = %s ORDER BY msg_id FOR UPDATE",
            table=self.table,
            field=text_of(self.group),
        )
        return len(self.archive_where(chosen, (group,), outcome=outcome))

    def is_waiting(self, group: str) -> bool:
        """Whether any message of the group is in the queue, hidden or not."""
        query = compose(
            "SELECT EXISTS (SELECT 1 FROM {table} WHERE {field} = %s)", table=self.table, field=text_of(self.group)
        )
        return bool(self.rows.value(query, (group,)))

    def _create_index(self, suffix: str, fields: tuple[str, ...], *, unique: bool) -> None:
        self.rows.execute(
            compose(
                "CREATE {kind} IF NOT EXISTS {name} ON {table} ({fields})",
                kind=SQL("UNIQUE INDEX" if unique else "INDEX"),
                name=self._index_name(suffix),
                table=self.table,
                fields=joined(", ", (compose("({field})", field=text_of(field)) for field in fields)),
            )
        )

    def _index_name(self, suffix: str) -> str:
        return f"q_{self.name.lower()}_{suffix}"


def text_of(field: str) -> SQL:
    """``message->>'field'``: one of the code's own field names as text, written as the indexes have it."""
    return SQL(f"(message->>'{field}')")


def quoted(name: str) -> SQL:
    """An index of a queue, which lives in PGMQ's schema."""
    return identifier(f'pgmq"."{name}')
