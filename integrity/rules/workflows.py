"""One execution for each workflow: duplicates carry meaning, and the row furthest along knows most.

An end, good or bad, is later in a workflow's life than running; of two rows equally far the newer one stays.
"""

from integrity.dedupe.keep import Latest, StatusOrder
from integrity.dedupe.rule import DedupeRule
from integrity.rules.registry import register

WORKFLOWS = register(
    DedupeRule(
        name="workflows",
        model="integrity.WorkflowExecution",
        fields=("workflow_id",),
        keep=(StatusOrder("status", ("completed", "failed", "running", "pending")), Latest("created_at")),
        clock="created_at",
    ),
    system="workflows",
)
