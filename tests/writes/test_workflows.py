"""Workflow executions: started once, moved along allowed transitions only."""

from __future__ import annotations

import itertools
import threading
import uuid
from typing import Any

import pytest
from django.db import DataError, connection
from django.test.utils import CaptureQueriesContext
from django.utils.translation import gettext_lazy

from integrity.models import WorkflowExecution
from integrity.writes import (
    TRANSITIONS,
    MissingConstraint,
    StartedWorkflow,
    TransitionRefused,
    UnknownWorkflow,
    WorkflowIdTaken,
    advance_workflow_execution,
    start_workflow_execution,
)
from tests.databases import Database
from tests.writes.racing import race

ENTITY = uuid.UUID(int=1)
Status = WorkflowExecution.Status


def start(workflow_id: str = "w-1", **extra: Any) -> StartedWorkflow:
    values: dict[str, Any] = {"workflow_type": "import", "entity_type": "course", "entity_id": ENTITY, **extra}
    return start_workflow_execution(workflow_id=workflow_id, **values)


def test_a_workflow_is_started_once(database: Database) -> None:
    first, second = start(), start()

    assert (first.created, second.created) == (True, False)
    assert first.execution.pk == second.execution.pk == WorkflowExecution.objects.get().pk
    assert second.execution.status == Status.PENDING
    assert second.execution.created_at == WorkflowExecution.objects.get().created_at


def test_starting_and_advancing_take_one_statement_each(database: Database) -> None:
    with CaptureQueriesContext(connection) as queries:
        start()
    assert len(queries) == 1

    with CaptureQueriesContext(connection) as queries:
        advance_workflow_execution(workflow_id="w-1", status="running")
    assert len(queries) == 1


def test_a_workflow_that_went_on_is_returned_as_it_is(database: Database) -> None:
    start()
    advance_workflow_execution(workflow_id="w-1", status="running")

    assert start().execution.status == Status.RUNNING


def test_values_are_compared_as_they_are_stored(database: Database) -> None:
    lazy: Any = gettext_lazy("import")

    assert [start("w-1", workflow_type=lazy).created, start("w-1", workflow_type=lazy).created] == [True, False]
    assert [start("w-2", workflow_type=5).created, start("w-2", workflow_type=5).created] == [True, False]


def test_what_no_database_can_be_sent_is_djangos_own_error(database: Database) -> None:
    with pytest.raises(DataError):
        start("half a pair: \ud800")
    start()
    with pytest.raises(DataError):
        advance_workflow_execution(workflow_id="w-1", status="failed", error_message="half a pair: \ud800")

    assert WorkflowExecution.objects.get().status == Status.PENDING


@pytest.mark.parametrize(
    "other", [{"workflow_type": "export"}, {"entity_type": "file"}, {"entity_id": uuid.UUID(int=2)}]
)
def test_an_id_that_belongs_to_another_workflow_is_refused(database: Database, other: dict[str, Any]) -> None:
    start()

    with pytest.raises(WorkflowIdTaken, match="import of course"):
        start(**other)


def test_an_entity_id_may_be_given_as_text(database: Database) -> None:
    assert start(entity_id=str(ENTITY)).created
    assert not start(entity_id=str(ENTITY)).created


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(Status, 2)))
def test_only_the_transitions_of_the_table_happen(database: Database, before: Status, after: Status) -> None:
    start()
    WorkflowExecution.objects.update(status=before)

    if (before, after) in TRANSITIONS:
        assert advance_workflow_execution(workflow_id="w-1", status=after).changed
        assert WorkflowExecution.objects.get().status == after
    else:
        with pytest.raises(TransitionRefused, match=f"is {before}, which does not lead to {after}"):
            advance_workflow_execution(workflow_id="w-1", status=after)
        assert WorkflowExecution.objects.get().status == before


@pytest.mark.parametrize("status", Status)
def test_to_the_same_status_again_is_no_error(database: Database, status: Status) -> None:
    start()
    WorkflowExecution.objects.update(status=status)

    assert not advance_workflow_execution(workflow_id="w-1", status=status).changed


def test_times_and_message_follow_the_status(database: Database) -> None:
    start()
    advance_workflow_execution(workflow_id="w-1", status="running")
    running = WorkflowExecution.objects.get()
    advance_workflow_execution(workflow_id="w-1", status="failed", error_message="x" * 5000)
    failed = WorkflowExecution.objects.get()
    advance_workflow_execution(workflow_id="w-1", status="running")
    again = WorkflowExecution.objects.get()

    assert running.started_at is not None
    assert running.completed_at is None
    assert failed.completed_at is not None
    assert failed.error_message is not None
    assert len(failed.error_message) == 1000
    assert (again.completed_at, again.error_message) == (None, None)


def test_an_unknown_workflow_is_a_clear_error(database: Database) -> None:
    with pytest.raises(UnknownWorkflow, match=r"'nobody'.*start_workflow_execution"):
        advance_workflow_execution(workflow_id="nobody", status="running")


def test_an_unknown_status_is_a_clear_error(database: Database) -> None:
    with pytest.raises(TransitionRefused, match="Choose from: pending, running, completed, failed"):
        advance_workflow_execution(workflow_id="w-1", status="paused")


def test_without_the_constraint_nothing_is_started(database_at: Any) -> None:
    database_at("0001")

    with pytest.raises(MissingConstraint, match="migrate"):
        start()

    assert not WorkflowExecution.objects.exists()


def test_of_many_who_start_one_made_it(database: Database) -> None:
    barrier = threading.Barrier(8)

    def worker(number: int) -> StartedWorkflow:
        barrier.wait()
        return start()

    started = race(worker, range(8))

    assert sum(one.created for one in started) == 1
    assert {one.execution.pk for one in started} == {WorkflowExecution.objects.get().pk}


def test_of_many_who_advance_one_changed_it(database: Database) -> None:
    start()
    barrier = threading.Barrier(8)

    def worker(number: int) -> bool:
        barrier.wait()
        return advance_workflow_execution(workflow_id="w-1", status="running").changed

    assert sum(race(worker, range(8))) == 1
