"""A database with the pipeline in it: PGMQ, the queue of jobs, and short vectors, so that tests are quick."""

from __future__ import annotations

import pytest

from integrity.pipeline import job_queue
from integrity.pipeline.providers.offline import OfflineProvider
from integrity.queue import KeyedQueue
from tests.databases import Database
from tests.pipeline.library import DIMENSIONS, Library, resize_vectors


@pytest.fixture
def queue(pgmq_database: Database) -> KeyedQueue:
    """The empty queue of jobs on an empty database."""
    resize_vectors(DIMENSIONS)
    queue = job_queue()
    queue.create()
    return queue


@pytest.fixture
def provider() -> OfflineProvider:
    """Makes short vectors."""
    return OfflineProvider(dimensions=DIMENSIONS)


@pytest.fixture
def library(queue: KeyedQueue, provider: OfflineProvider) -> Library:
    """Files to process, and what to ask about them."""
    return Library(queue=queue, provider=provider)
