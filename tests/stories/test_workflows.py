"""Workflow executions: two rows for one workflow, one of them completed."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.snapshots import snapshot
from tests.stories.conftest import Owned
from tests.stories.telling import Call, assert_refused, column, indexes, migrate, put, undo_everything

pytestmark = pytest.mark.slow


TABLE = "workflow_executions"
SQL = """
CREATE TABLE workflow_executions (
    id uuid PRIMARY KEY, workflow_id varchar(255) NOT NULL, workflow_type varchar(100) NOT NULL,
    entity_type varchar(50) NOT NULL, entity_id uuid NOT NULL, status varchar(20) NOT NULL,
    error_message varchar(1000), created_at timestamp NOT NULL, started_at timestamp, completed_at timestamp);
CREATE INDEX ix_workflow_executions_workflow_id ON workflow_executions (workflow_id);
CREATE INDEX ix_workflow_executions_entity_id ON workflow_executions (entity_id);
"""


def execution(workflow: str, status: str, *, day: int) -> dict[str, Any]:
    return {
        "workflow_id": workflow,
        "workflow_type": "import",
        "entity_type": "customer",
        "entity_id": uuid.UUID(int=7),
        "status": status,
        "created_at": f"2026-03-{day:02} 12:00:00",
    }


def test_from_dirty_to_constrained_and_back(owned: Owned, call: Call) -> None:
    owned(SQL)
    completed = put(TABLE, **execution("a", "completed", day=1))
    put(TABLE, **execution("a", "pending", day=2))
    put(TABLE, **execution("b", "running", day=3))
    newer = put(TABLE, **execution("b", "running", day=4))
    alone = put(TABLE, **execution("c", "failed", day=5))
    before = snapshot()

    assert "removed 2 redundant rows" in migrate(call, "0007")

    assert sorted(str(value) for value in column(TABLE, "id")) == sorted([completed, newer, alone])
    assert "uq_workflow_executions_workflow_id" in indexes(TABLE)
    assert "ix_workflow_executions_workflow_id" not in indexes(TABLE)
    assert_refused(TABLE, **execution("a", "pending", day=9))

    migrate(call, "0006")
    assert "uq_workflow_executions_workflow_id" not in indexes(TABLE)
    assert "ix_workflow_executions_workflow_id" in indexes(TABLE)
    undo_everything(call)
    assert snapshot() == before


def test_a_plain_index_that_was_missing_stays_missing(owned: Owned, call: Call) -> None:
    database = owned(SQL)
    database.execute("DROP INDEX ix_workflow_executions_workflow_id")

    migrate(call, "0007")
    migrate(call, "0006")

    assert "ix_workflow_executions_workflow_id" not in indexes(TABLE)


def test_an_index_of_that_name_that_is_unique_by_now_is_accepted_and_stays(owned: Owned, call: Call) -> None:
    database = owned(SQL)
    database.execute("DROP INDEX ix_workflow_executions_workflow_id")
    database.execute("CREATE UNIQUE INDEX ix_workflow_executions_workflow_id ON workflow_executions (workflow_id)")

    said = migrate(call, "0007")

    assert "was there already" in said
    assert "ix_workflow_executions_workflow_id" in indexes(TABLE)
    migrate(call, "0006")
    assert "ix_workflow_executions_workflow_id" in indexes(TABLE)


def test_a_constraint_that_its_owner_made_stays_when_we_go(owned: Owned, call: Call) -> None:
    database = owned(SQL)
    database.execute("CREATE UNIQUE INDEX uq_theirs ON workflow_executions (workflow_id)")

    migrate(call, "0007")
    migrate(call, "0006")

    assert "uq_theirs" in indexes(TABLE)
