"""System 4, workflow executions: one record for each start of a workflow, whatever it works on."""

from __future__ import annotations

from django.db import models

from integrity.models.fields import LongNameIndex, NaiveDateTimeField, naive_utc_now, uuid7


class WorkflowExecution(models.Model):
    """How far one workflow came. ``entity_id`` points at a row of the kind that ``entity_type`` names."""

    class Status(models.TextChoices):
        """In the order in which they are reached."""

        PENDING = "pending"
        RUNNING = "running"
        COMPLETED = "completed"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workflow_id = models.CharField(max_length=255)
    workflow_type = models.CharField(max_length=100)
    entity_type = models.CharField(max_length=50)
    entity_id = models.UUIDField()
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    error_message = models.CharField(max_length=1000, null=True, blank=True)
    created_at = NaiveDateTimeField(default=naive_utc_now)
    started_at = NaiveDateTimeField(null=True, blank=True)
    completed_at = NaiveDateTimeField(null=True, blank=True)

    class Meta:
        db_table = "workflow_executions"
        verbose_name = "workflow execution"
        indexes = [LongNameIndex(fields=["entity_id"], name="ix_workflow_executions_entity_id")]
        constraints = [
            models.UniqueConstraint(fields=["workflow_id"], name="uq_workflow_executions_workflow_id"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow_id} ({self.status})"
