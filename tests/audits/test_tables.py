"""Which tables are absent, or do not fit their rule."""

from __future__ import annotations

from integrity.audits import Level
from tests.audits.helpers import audit, execute, ids
from tests.databases import Database


def test_an_absent_table_is_a_note(database: Database) -> None:
    execute("DROP TABLE workflow_executions")

    (found,) = audit()

    assert (found.id, found.level, found.object) == ("integrity.A060", Level.INFO, "workflow_executions")


def test_a_rule_whose_column_is_missing_is_told_and_the_others_go_on(dirty: Database) -> None:
    execute("ALTER TABLE embedding RENAME COLUMN started_at TO began_at")

    found = audit()

    assert ids(found) == ["A020", "A061"]
    assert "started_at" in found[-1].message
