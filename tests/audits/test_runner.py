"""What holds for all audits: they read, they need nothing of ours, and a wrong database is no clean one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.test import override_settings

from integrity.audits import AuditContext, Finding, Level, NothingToAudit, UnknownTag, register, registry, run_audits
from integrity.dedupe import Progress
from tests.audits.helpers import audit, execute, ids
from tests.databases import Database
from tests.snapshots import snapshot

EMBEDDING = "CREATE TABLE embedding (id char(32) PRIMARY KEY, started_at timestamp, completed_at timestamp, "
EMBEDDING += "invocation_id char(32) NOT NULL, embedding_model varchar NOT NULL, vector {bytes})"


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test register audits that are forgotten afterwards."""
    monkeypatch.setattr(registry, "_AUDITS", dict(registry._AUDITS))


def test_a_migrated_database_without_rows_is_clean(database: Database) -> None:
    assert audit() == ()


def test_a_dirty_database_tells_all_that_is_wrong(dirty: Database) -> None:
    assert ids(audit()) == ["A001", "A010", "A020", "A030"]


@pytest.mark.usefixtures("made_up", "unconstrained")
def test_the_database_refuses_an_audit_that_writes() -> None:
    @register("vandal", "integrity.A999")
    def vandal(context: AuditContext) -> Iterator[Finding]:
        """Does it write?"""
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM embedding")
        yield from ()

    with pytest.raises(DatabaseError, match=r"read-?only"):
        audit("vandal")

    execute("DELETE FROM embedding")  # and afterwards it takes changes again


@pytest.mark.usefixtures("dirty")
def test_an_audit_inside_a_transaction_leaves_it_writable() -> None:
    with transaction.atomic():
        audit()
        execute("DELETE FROM embeddingcluster")


def test_nothing_is_created_or_changed(dirty: Database) -> None:
    before = snapshot(own_books=True)

    audit()

    assert snapshot(own_books=True) == before


def test_a_foreign_database_with_one_table_is_audited(empty_database: Database) -> None:
    execute(EMBEDDING.format(bytes="bytea" if empty_database.vendor == "postgresql" else "blob"))
    execute(*(f"INSERT INTO embedding (id, invocation_id, embedding_model) VALUES ('{n}', 'a', 'm')" for n in (1, 2)))

    found = audit()

    assert ids(found) == ["A001", "A010", "A030"]
    assert connection.introspection.table_names() == ["embedding"]
    skipped = {finding.object for finding in found if finding.level == Level.INFO}
    assert {"invocation", "workflow_executions"} <= skipped


def test_a_database_without_any_of_the_tables_is_not_clean(empty_database: Database) -> None:
    with pytest.raises(NothingToAudit, match="right database"):
        audit()


@override_settings(INTEGRITY_SYSTEMS=[])
def test_a_project_without_systems_and_rules_is_told_to_name_some(database: Database) -> None:
    with pytest.raises(NothingToAudit, match="INTEGRITY_SYSTEMS"):
        audit()


@override_settings(INTEGRITY_SYSTEMS=["workflows"])
def test_systems_that_are_not_named_are_left_alone(dirty: Database) -> None:
    assert audit() == ()


def test_an_unknown_tag_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownTag, match="duplicates"):
        audit("duplicate")


def test_each_audit_is_announced(database: Database) -> None:
    seen: list[Progress] = []

    run_audits(apps=apps, using="default", tags=["orphans", "indexes"], report=seen.append)

    assert [(progress.step, progress.done, progress.total) for progress in seen] == [
        ("audit indexes", 0, 2),
        ("audit orphans", 1, 2),
    ]
