"""Start a workflow once, whoever asks how often, and move it along the allowed transitions only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.text import Truncator

from integrity.backends.insertion import insert_or_get
from integrity.exceptions import IntegrityAppError
from integrity.models import WorkflowExecution
from integrity.models.fields import naive_utc_now
from integrity.writes.asynchronous import asynchronous
from integrity.writes.errors import typed_errors, unsendable_as_data_error
from integrity.writes.retry import retried
from integrity.writes.target import constraint_required

Status = WorkflowExecution.Status

TRANSITIONS: tuple[tuple[Status, Status], ...] = (
    (Status.PENDING, Status.RUNNING),
    (Status.PENDING, Status.FAILED),
    (Status.RUNNING, Status.COMPLETED),
    (Status.RUNNING, Status.FAILED),
    (Status.FAILED, Status.RUNNING),
)
"""From and to. What is not here does not happen; to the same status again is no transition and no error."""


class WorkflowIdTaken(IntegrityAppError):
    """The workflow id belongs to an execution of another workflow or entity."""


class UnknownWorkflow(IntegrityAppError):
    """There is no execution of this workflow id."""


class TransitionRefused(IntegrityAppError):
    """The execution's status does not lead to the one that was asked for."""


@dataclass(frozen=True, kw_only=True)
class StartedWorkflow:
    """The execution, and whether this call made it."""

    execution: WorkflowExecution
    created: bool


@dataclass(frozen=True, kw_only=True)
class AdvancedWorkflow:
    """The status now, and whether this call changed it."""

    workflow_id: str
    status: Status
    changed: bool


def start_workflow_execution(
    *, workflow_id: str, workflow_type: str, entity_type: str, entity_id: UUID, using: str = DEFAULT_DB_ALIAS
) -> StartedWorkflow:
    """Make a pending execution, or return the one that is there: one statement, which cannot race.

    Raises:
        WorkflowIdTaken: the one that is there is of another workflow or entity.
        MissingConstraint: the database does not keep workflow ids unique.
        ConstraintViolated: the database rejects the values.
        DataError: a column cannot hold one of them.
    """
    wanted = {"workflow_type": workflow_type, "entity_type": entity_type, "entity_id": entity_id}
    new, meta = WorkflowExecution(workflow_id=workflow_id, **wanted), WorkflowExecution._meta
    requiring = constraint_required(table=meta.db_table, name="workflow_id", using=using)
    with typed_errors(using=using), unsendable_as_data_error(), requiring:
        execution = retried(lambda: _insert_or_get(new, using=using), using=using, key=("workflow_id",))
    compared = [field for field in meta.concrete_fields if field.name in wanted]
    if any(getattr(execution, field.name) != field.to_python(wanted[field.name]) for field in compared):
        raise WorkflowIdTaken(
            f"Workflow id {workflow_id!r} belongs to {execution.workflow_type} of {execution.entity_type} "
            f"{execution.entity_id}. Choose another id for {workflow_type} of {entity_type} {entity_id}."
        )
    return StartedWorkflow(execution=execution, created=execution.pk == new.pk)


def advance_workflow_execution(
    *, workflow_id: str, status: str, error_message: str | None = None, using: str = DEFAULT_DB_ALIAS
) -> AdvancedWorkflow:
    """Move an execution to ``status`` if its own leads there: one statement, compare and set.

    ``started_at`` and ``completed_at`` follow. An error message is kept with ``failed``, cut to the column's length.

    Raises:
        UnknownWorkflow: there is no such execution.
        TransitionRefused: its status does not lead to this one; it names those that do.
        DataError: the column cannot hold the message.
    """
    if status not in Status.values:
        raise TransitionRefused(f"There is no status {status!r}. Choose from: {', '.join(Status.values)}.")
    to = Status(status)
    leading_here = [before for before, after in TRANSITIONS if after == to]
    executions = WorkflowExecution.objects.using(using).filter(workflow_id=workflow_id)
    values = _values_of(to, error_message)
    with unsendable_as_data_error():
        if retried(lambda: executions.filter(status__in=leading_here).update(**values), using=using):
            return AdvancedWorkflow(workflow_id=workflow_id, status=to, changed=True)
        found = executions.values_list("status", flat=True).first()
    if found is None:
        raise UnknownWorkflow(
            f"There is no execution of workflow id {workflow_id!r}. Start it with start_workflow_execution first."
        )
    if found == to:
        return AdvancedWorkflow(workflow_id=workflow_id, status=to, changed=False)
    raise TransitionRefused(
        f"Execution {workflow_id!r} is {found}, which does not lead to {to}. "
        f"It can be reached from: {', '.join(leading_here) or 'nowhere'}."
    )


def _insert_or_get(new: WorkflowExecution, *, using: str) -> WorkflowExecution:
    fields, connection = new._meta.concrete_fields, connections[using]
    sql = insert_or_get(table=new._meta.db_table, columns=[str(f.column) for f in fields], key="workflow_id")
    values = [field.get_db_prep_save(field.pre_save(new, add=True), connection) for field in fields]
    (execution,) = WorkflowExecution.objects.using(using).raw(sql, values)
    return execution


def _values_of(to: Status, error_message: str | None) -> dict[str, Any]:
    now = naive_utc_now()
    if to == Status.RUNNING:
        return {"status": to, "started_at": now, "completed_at": None, "error_message": None}
    length = WorkflowExecution._meta.get_field("error_message").max_length or 0
    message = Truncator(error_message).chars(length) if error_message and to == Status.FAILED else None
    return {"status": to, "completed_at": now, "error_message": message}


astart_workflow_execution = asynchronous(start_workflow_execution)
aadvance_workflow_execution = asynchronous(advance_workflow_execution)
