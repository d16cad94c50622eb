"""A database with the pipeline in it: PGMQ, the queue of jobs, and short vectors, so that tests are quick."""

from __future__ import annotations

import pytest

from integrity.pipeline import job_queue
from integrity.pipeline.providers.offline import OfflineProvider
from integrity.queue import KeyedQueue, install
from tests.databases import Database
from tests.pipeline.library import DIMENSIONS, Library, resize_vectors


@pytest.fixture
def queue(pgmq_database: Database) -> KeyedQueue:
    """The empty queue of jobs on an empty database."""
    return _made_queue()


@pytest.fixture
def provider() -> OfflineProvider:
    """Makes short vectors."""
    return OfflineProvider(dimensions=DIMENSIONS)


@pytest.fixture
def library(queue: KeyedQueue, provider: OfflineProvider) -> Library:
    """Files to process, and what to ask about them."""
    return Library(queue=queue, provider=provider)


@pytest.fixture
def own_library(postgres_database: Database, provider: OfflineProvider) -> Library:
    """The same on a database whose tables and extensions the test may change: nobody gets it after."""
    install(using="default")
    return Library(queue=_made_queue(), provider=provider)


def _made_queue() -> KeyedQueue:
    resize_vectors(DIMENSIONS)
    queue = job_queue()
    queue.create()
    return queue
