"""What a run keeps of the rows it removed, page by page."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.apps import apps

from integrity.dedupe import (
    DedupeRule,
    NotMigrated,
    apply_plan,
    make_plan,
    quarantines_of,
    removed_rows,
    undo_run,
)
from integrity.dedupe.removed import ROWS_PER_PAGE
from integrity.models import WorkflowExecution
from integrity.rules.embeddings import EMBEDDINGS
from tests.databases import Database

WORKFLOWS = DedupeRule(name="workflows", model="integrity.WorkflowExecution", fields=("workflow_id",))


def run(rule: DedupeRule) -> int:
    plan = make_plan(rule, apps=apps, using="default")
    return apply_plan(plan.id, rule, apps=apps, using="default").id


def test_each_table_that_lost_rows_is_named_with_their_number(dirty: Database) -> None:
    found = quarantines_of(run(EMBEDDINGS), apps=apps, using="default")

    assert [(quarantine.table, quarantine.rows) for quarantine in found] == [
        ("embedding", 25),
        ("embeddingcluster", 25),
    ]


def test_a_removed_row_tells_why_it_went_and_which_row_stands_for_it(dirty: Database) -> None:
    run_id = run(EMBEDDINGS)
    embeddings, _ = quarantines_of(run_id, apps=apps, using="default")

    page = removed_rows(embeddings, run_id=run_id, using="default")

    assert len(page.rows) == 25
    assert not page.more
    assert page.columns == ("id", "started_at", "completed_at", "invocation_id", "embedding_model", "vector")
    assert [row.group for row in page.rows] == sorted(row.group for row in page.rows)
    assert {row.reason for row in page.rows} == {"identical", "incomplete", "conflicting"}
    incomplete = next(row for row in page.rows if row.reason == "incomplete")
    assert incomplete.values[-1] is None
    assert incomplete.survivor != incomplete.values[0]


def test_pages_follow_each_other_without_gap_or_overlap(database_at: Callable[[str], Database]) -> None:
    database_at("0001")
    same = {"workflow_id": "w", "workflow_type": "t", "entity_type": "e", "entity_id": uuid4()}
    WorkflowExecution.objects.bulk_create(WorkflowExecution(**same) for _ in range(2 * ROWS_PER_PAGE + 2))
    run_id = run(WORKFLOWS)
    (quarantine,) = quarantines_of(run_id, apps=apps, using="default")

    pages = [removed_rows(quarantine, run_id=run_id, number=number, using="default") for number in (1, 2, 3, 4)]

    assert [len(page.rows) for page in pages] == [ROWS_PER_PAGE, ROWS_PER_PAGE, 1, 0]
    assert [page.more for page in pages] == [True, True, False, False]
    assert len({row.values[0] for page in pages for row in page.rows}) == quarantine.rows == 2 * ROWS_PER_PAGE + 1


def test_nothing_is_kept_of_a_run_that_was_undone(dirty: Database) -> None:
    run_id = run(EMBEDDINGS)
    undo_run(run_id, apps=apps, using="default")

    assert quarantines_of(run_id, apps=apps, using="default") == ()


def test_a_database_without_books_says_how_to_make_them(empty_database: Database) -> None:
    with pytest.raises(NotMigrated, match=r"manage\.py migrate"):
        quarantines_of(1, apps=apps, using="default")
