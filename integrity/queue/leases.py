"""What makes redelivery harmless: a message is changed under its lease, or not at all.

PGMQ hands a message to the next reader once its visibility timeout is over, while the first may still work on it;
an ``archive`` or ``set_vt`` by the first would then hit the second's message. Every statement here names the
``read_ct`` that its caller saw: the next reader's is higher, so a late caller changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from integrity.backends.sql import array


class Lease(NamedTuple):
    """The right to change one message: who holds it was the last to read the message."""

    msg_id: int
    read_ct: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """A message to be given back: when it may be read again, and what the next reader should know."""

    lease: Lease
    delay: timedelta
    headers: dict[str, int]


def arrays(leases: Sequence[Lease]) -> tuple[str, str]:
    """Two parallel arrays, as ``unnest(bigint[], integer[])`` takes them."""
    return array(lease.msg_id for lease in leases), array(lease.read_ct for lease in leases)
