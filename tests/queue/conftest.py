"""A queue on a database of its own."""

from __future__ import annotations

import pytest

from integrity.queue import KeyedQueue, LeasedQueue
from tests.databases import Database


@pytest.fixture
def queue(pgmq_database: Database) -> LeasedQueue:
    """A plain, empty queue."""
    queue = LeasedQueue(name="letters")
    queue.create()
    return queue


@pytest.fixture
def keyed(pgmq_database: Database) -> KeyedQueue:
    """An empty queue whose messages have a key and a group."""
    queue = KeyedQueue(name="keyed", key=("owner", "thing", "model"))
    queue.create()
    return queue
