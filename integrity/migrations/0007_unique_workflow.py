"""One execution for each workflow: the one furthest along, then the newest.

The unique index is built before the plain one goes, so that looking up a workflow always finds an index.
"""

from __future__ import annotations

from django.db import migrations, models

from integrity.dedupe import DedupeRule, Latest, StatusOrder
from integrity.operations import AddUniqueConstraintOnline, DropIndexIfExists


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("integrity", "0006_unique_pattern_metric")]

    operations = [
        AddUniqueConstraintOnline(
            model_name="workflowexecution",
            constraint=models.UniqueConstraint(fields=["workflow_id"], name="uq_workflow_executions_workflow_id"),
            rule=DedupeRule(
                name="workflows",
                model="integrity.WorkflowExecution",
                fields=("workflow_id",),
                keep=(StatusOrder("status", ("completed", "failed", "running", "pending")), Latest("created_at")),
            ),
        ),
        DropIndexIfExists(model_name="workflowexecution", name="ix_workflow_executions_workflow_id"),
    ]
