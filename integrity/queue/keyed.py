"""A queue whose messages have a key: no two wait for the same thing, and those about one thing can be found."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import IntegrityError, NotSupportedError, OperationalError

from integrity.backends import get_catalogue
from integrity.backends.postgresql.session import patiently
from integrity.backends.sql import SQL, as_value, compose, identifier, joined
from integrity.queue.install import InstallationRefused
from integrity.queue.leased import LeasedQueue
from integrity.queue.names import table_of

log = logging.getLogger(__name__)

_TOO_LONG: Final = "54000"


@dataclass(frozen=True, kw_only=True)
class KeyedQueue(LeasedQueue):
    """A PGMQ queue with one index more: a unique one on the fields of the message that ``key`` names.

    The first field is the *group*: what the messages are about. A message that lacks a field of the key has no key
    and is never a duplicate, so that messages from elsewhere can be sent to the same queue.
    """

    key: tuple[str, ...]

    @property
    def group(self) -> SQL:
        """The expression of a message's group, as the index has it."""
        return text_of(self.key[0])

    @property
    def index(self) -> str:
        """The index's name; it lives in PGMQ's schema."""
        return f"q_{self.name.lower()}_key"

    def create(self) -> None:
        """Create the queue and its index where they are missing; where nothing is missing, no lock is taken.

        Building the index takes SHARE ROW EXCLUSIVE on the queue: senders wait until it is built. While others hold
        the queue, they wait at most ``INTEGRITY_LOCK_TIMEOUT`` at a time.

        Raises:
            InstallationRefused: messages with the same key are waiting already, or one whose key is too long for an
                index; the queue is partitioned, or another index has the name.
            LockNotFree: others went on holding the queue.
        """
        super().create()
        if self.is_keyed():
            return
        try:
            patiently(self.rows.connection, self._create_index, table=table_of(self.name), say=log.info)
        except IntegrityError as error:
            raise InstallationRefused(
                f"Queue {self.name!r} holds several messages with the same {', '.join(self.key)}. "
                "Let its workers empty it, or archive the duplicates, then run install_pgmq again."
            ) from error
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != _TOO_LONG:
                raise
            key = ", ".join(f"message->>'{field}'" for field in self.key)
            raise InstallationRefused(
                f"Queue {self.name!r} holds a message whose {', '.join(self.key)} are too long for an index: the first "
                f"of {as_value(self.table)} by ORDER BY octet_length(concat({key})) DESC. "
                "Let its workers bury it, or archive it, then run install_pgmq again."
            ) from error
        except NotSupportedError as error:
            raise InstallationRefused(
                f"Queue {self.name!r} is partitioned, and no key can hold across partitions: use another queue."
            ) from error
        if not self.is_keyed():
            raise InstallationRefused(
                f"The index {self.index} of queue {self.name!r} is not a valid unique one on "
                f"{', '.join(self.key)}. Run: DROP INDEX pgmq.{identifier(self.index)}; then install_pgmq again."
            )

    def is_keyed(self) -> bool:
        """Whether an index, whatever its name, sees to it that no two messages with the same key wait."""
        return has_key(self.name, self.key, using=self.using)

    def _create_index(self) -> None:
        # A lock that conflicts with itself: of two who create at once, the second finds the index.
        self.rows.execute(compose("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE", table=self.table))
        self.rows.execute(
            compose(
                "CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {table} ({fields})",
                index=self.index,
                table=self.table,
                fields=joined(", ", (text_of(field) for field in self.key)),
            )
        )

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
            "SELECT msg_id, %s::text FROM {table} WHERE {field} = %s ORDER BY msg_id FOR UPDATE",
            table=self.table,
            field=self.group,
        )
        return len(self.archive_where(chosen, (outcome, group)))


def has_key(queue: str, key: Sequence[str], *, using: str) -> bool:
    """Whether a unique index on a queue's table holds its messages to this key."""
    keys = tuple(f"""(message ->> '{field}'::text) COLLATE pg_catalog."default\"""" for field in key)
    return any(
        index.unique and index.valid and index.keys == keys and index.predicate is None and index.nulls_distinct
        for index in get_catalogue(using=using).indexes(table_of(queue))
    )


def text_of(field: str) -> SQL:
    """``message->>'field'``: one of the code's own field names as text, written as the indexes have it."""
    return SQL(f"(message->>'{field}')")
