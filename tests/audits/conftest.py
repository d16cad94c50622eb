"""Databases to audit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integrity.demo.data import make_dirty_data
from tests.databases import Database


@pytest.fixture
def unconstrained(database_at: Callable[[str], Database]) -> Database:
    """An empty database as it was before the first constraint was added."""
    return database_at("0001")


@pytest.fixture
def dirty(unconstrained: Database) -> Database:
    """The same with 25 duplicate pairs, 5 placeholders among them, and one orphan."""
    make_dirty_data(using="default")
    return unconstrained
