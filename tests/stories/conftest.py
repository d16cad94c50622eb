"""Databases to tell stories about: made by our first migration, or by their owner and adopted by it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import BOTH, Databases
from tests.databases import Database
from tests.operations.owners import build
from tests.stories.telling import Call, migrate

Owned = Callable[..., Database]


@pytest.fixture(params=BOTH)
def vendor(request: pytest.FixtureRequest) -> str:
    """Each vendor in turn."""
    return str(request.param)


@pytest.fixture(params=["created", "adopted"])
def owned(request: pytest.FixtureRequest, vendor: str, databases: Databases, call: Call) -> Owned:
    """Makes a database at our first migration whose tables were created by it, or before it by these scripts."""

    def make(*scripts: str) -> Database:
        if request.param == "created":
            return databases.migrated(vendor, "0001")
        database = databases.empty(vendor)
        build(database, *scripts)
        migrate(call, "0001")
        return database

    return make
