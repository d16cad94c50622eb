"""Names of queues and of their tables, by PGMQ's own rules."""

from __future__ import annotations

import re

from integrity.backends.sql import SQL, identifier
from integrity.exceptions import IntegrityAppError

LONGEST = 47  # characters: PGMQ's own limit
_FORBIDDEN = re.compile(r"\$|;|--|'|\"|%|[^\x20-\x7e]")


class InvalidQueueName(IntegrityAppError, ValueError):
    """PGMQ would refuse this name, or fail over it."""


def checked_name(name: str) -> str:
    """Return the name as PGMQ stores it.

    Raises:
        InvalidQueueName: it is empty, too long, or holds a character that PGMQ cannot take.
    """
    if not name or len(name) > LONGEST or _FORBIDDEN.search(name):
        raise InvalidQueueName(
            f"{name!r} cannot name a queue: use 1 to {LONGEST} ASCII characters, and none of $ ; ' \" % and --."
        )
    return name


def table_of(name: str) -> str:
    """The table of the messages that wait or are being worked on, as the catalogue is asked for it."""
    return f'pgmq"."q_{name.lower()}'


def queue_table(name: str) -> SQL:
    """The same as it stands in a statement."""
    return identifier(table_of(name))


def archive_table(name: str) -> SQL:
    """The table of the messages that are done with."""
    return identifier(f'pgmq"."a_{name.lower()}')
