"""Databases to audit."""

from __future__ import annotations

import pytest

from integrity.demo.data import make_dirty_data
from tests.audits.helpers import execute
from tests.databases import Database


@pytest.fixture
def unconstrained(database: Database) -> Database:
    """An empty database in which everything is right but that embeddings have no constraint."""
    name = "unique_invocation_embedding_model"
    drops = {"postgresql": f"ALTER TABLE embedding DROP CONSTRAINT {name}", "sqlite": f"DROP INDEX {name}"}
    execute(drops[database.vendor])
    return database


@pytest.fixture
def dirty(unconstrained: Database) -> Database:
    """The same with 25 duplicate pairs, 5 placeholders among them, and one orphan."""
    make_dirty_data(using="default")
    return unconstrained
