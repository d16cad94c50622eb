"""Dirty databases for the engine's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integrity.demo.data import make_dirty_data
from tests.databases import Database


@pytest.fixture
def dirty(database_at: Callable[[str], Database]) -> Database:
    """A database before the constraint, with 25 duplicate pairs of embeddings."""
    database = database_at("0001")
    make_dirty_data(using="default")
    return database
