"""Our books: what was decided (plans), what was done (runs), and which tables are not ours.

The books are stable by design (docs/decisions/0005-stable-books.md): what a query filters on is a column, all
else is JSON. Old data migrations write them through the historical registry, so a column that a later
migration added would be missing there.
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class DedupePlan(models.Model):
    """The stored decision: which rows go, which stay, what is repointed, what is refused and why.

    The rows themselves are in side tables named ``integrity_plan_<id>_*``, typed like the tables they speak of.
    """

    rule = models.CharField(max_length=200)
    model = models.CharField(max_length=200)
    table = models.CharField(max_length=200)
    state = models.CharField(max_length=20)
    digest = models.CharField(max_length=64)
    document = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "integrity_plan"
        verbose_name = "plan"

    def __str__(self) -> str:
        return f"plan {self.pk}: {self.rule}"


class DedupeRun(models.Model):
    """One application of a plan: its state, the last group done (``cursor``), and what it counted."""

    plan = models.ForeignKey(DedupePlan, on_delete=models.PROTECT, related_name="runs")
    rule = models.CharField(max_length=200)
    table = models.CharField(max_length=200)
    state = models.CharField(max_length=20)
    cursor = models.BigIntegerField(default=0)
    counts = models.JSONField(default=dict)
    details = models.JSONField(default=dict)
    started_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "integrity_run"
        verbose_name = "run"

    def __str__(self) -> str:
        return f"run {self.pk}: {self.rule} ({self.state})"


class MirroredTable(models.Model):
    """How a mirrored table came to be: made here, adopted as it was found, or absent from this database."""

    table = models.CharField(max_length=200, primary_key=True)
    system = models.CharField(max_length=20)
    origin = models.CharField(max_length=20)
    details = models.JSONField(default=dict)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "integrity_table"
        verbose_name = "mirrored table"

    def __str__(self) -> str:
        return f"{self.table} ({self.origin})"
