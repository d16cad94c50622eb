"""Databases that hold one system only, and migrations that find nothing to do."""

from __future__ import annotations

from typing import Any

import pytest

from integrity.backends import get_catalogue
from tests.conftest import Databases
from tests.operations.owners import EMBEDDINGS, build
from tests.stories.telling import Call, indexes, migrate
from tests.stories.test_workflows import SQL as WORKFLOWS


def test_all_migrations_pass_over_tables_that_are_absent(vendor: str, databases: Databases, call: Call) -> None:
    build(databases.empty(vendor), EMBEDDINGS)

    migrate(call, "0008")
    tables = get_catalogue(using="default").tables()
    migrate(call, "0001")

    assert "embedding" in tables
    assert not tables & {"file_chunks", "workflow_executions", "cluster"}


def test_a_system_that_is_switched_off_keeps_its_tables_as_they_are(
    vendor: str, databases: Databases, call: Call, settings: Any
) -> None:
    build(databases.empty(vendor), EMBEDDINGS, WORKFLOWS)
    settings.INTEGRITY_SYSTEMS = ("embeddings",)
    before = indexes("workflow_executions")

    migrate(call, "0008")

    assert indexes("workflow_executions") == before
    assert "unique_invocation_embedding_model" in indexes("embedding")


@pytest.mark.parametrize("migration", ["0002", "0004", "0005", "0006", "0007", "0008"])
def test_what_a_migration_would_do_can_be_printed(
    vendor: str, databases: Databases, call: Call, migration: str
) -> None:
    databases.migrated(vendor, "0001")

    forwards = call("sqlmigrate", "integrity", migration)
    backwards = call("sqlmigrate", "integrity", migration, "--backwards")

    assert (forwards.code, backwards.code) == (0, 0)
    assert "unique" in forwards.out.lower()
