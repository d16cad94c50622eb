"""Dirty databases for the commands."""

from collections.abc import Iterator

import pytest
from django.db import connections

from tests.databases import Database
from tests.dedupe.conftest import dirty as dirty


@pytest.fixture
def other_ponies(ponies: Database) -> Iterator[str]:
    """Another alias of the database with the ponies."""
    connections.databases["other"] = connections.databases["default"]
    yield "other"
    connections["other"].close()
    del connections["other"], connections.databases["other"]
