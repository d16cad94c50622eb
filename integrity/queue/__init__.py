"""A typed client of PGMQ over Django's own connection, in PGMQ's own words.

Why not the client class that PGMQ's Python package ships: it opens a pool of its own, so that a message could not
be sent in the transaction that made it true. Only that package's SQL is used, by ``install``.

What PGMQ has, ``Queue`` calls with every parameter cast, since most of its functions are overloaded and an untyped
parameter makes the call ambiguous. What PGMQ lacks stands beside it:

* ``Lease`` is the receipt that PGMQ does not give: a message may be changed by whoever read it *last* and by nobody
  else, which ``(msg_id, read_ct)`` tells apart; ``LeasedQueue`` has the methods that ask for it;
* an *outcome* is written into the headers of what is archived, so that no message ends without a reason;
* ``KeyedQueue`` holds at most one message per key, and finds messages by what they are about;
* ``notify`` and ``wait_for_message`` wake readers. PGMQ's own trigger is not used: it makes senders wait for one
  another.
"""

from __future__ import annotations

from integrity.queue.client import Queue, QueueMissing, QueueOutdated
from integrity.queue.columns import lacking_columns
from integrity.queue.install import (
    Installation,
    InstallationRefused,
    PgmqMissing,
    find_installation,
    install,
    shipped_version,
)
from integrity.queue.keyed import KeyedQueue
from integrity.queue.leased import LeasedQueue
from integrity.queue.leases import Lease, Return
from integrity.queue.message import Message, UnsendableMessage
from integrity.queue.names import InvalidQueueName
from integrity.queue.notify import channel, listen, notify, wait_for_message
from integrity.queue.numbers import count_on

__all__ = [
    "Installation",
    "InstallationRefused",
    "InvalidQueueName",
    "KeyedQueue",
    "Lease",
    "LeasedQueue",
    "Message",
    "PgmqMissing",
    "Queue",
    "QueueMissing",
    "QueueOutdated",
    "Return",
    "UnsendableMessage",
    "channel",
    "count_on",
    "find_installation",
    "install",
    "lacking_columns",
    "listen",
    "notify",
    "shipped_version",
    "wait_for_message",
]
