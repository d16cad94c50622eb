"""System 3, pattern quality metrics: how good each code pattern was found to be, and where it came from.

Tables of omniclaude (PostgreSQL), which is deployed in two shapes: columns that only one of them has are loaded
when they are asked for, so that both can be read.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from integrity.models.fields import GinIndex, LongNameIndex, RandomUUID, TextArrayField, uuid7

SCORES = (
    "complexity_score",
    "documentation_score",
    "test_coverage_score",
    "reusability_score",
    "maintainability_score",
    "overall_quality",
)


def _between_zero_and_one(table: str, *columns: str) -> list[models.BaseConstraint]:
    """One check for each column, named as PostgreSQL names it; NULL passes."""
    return [
        models.CheckConstraint(
            condition=models.Q((f"{column}__gte", 0), (f"{column}__lte", 1)), name=f"{table}_{column}_check"
        )
        for column in columns
    ]


class PatternQualityMetricManager(models.Manager["PatternQualityMetric"]):
    """Leaves ``updated_at`` out of queries until it is asked for: the second deployed shape has no such column."""

    def get_queryset(self) -> models.QuerySet[PatternQualityMetric]:
        """Return all metrics, without ``updated_at``."""
        return super().get_queryset().defer("updated_at")


class PatternQualityMetric(models.Model):
    """One measurement of one pattern; ``pattern_id`` need not be in the lineage."""

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=RandomUUID(), editable=False)
    pattern_id = models.UUIDField()
    quality_score = models.FloatField()
    confidence = models.FloatField()
    measurement_timestamp = models.DateTimeField(default=timezone.now, db_default=Now())
    version = models.TextField(null=True, blank=True, default="1.0.0", db_default="1.0.0")
    metadata = models.JSONField(null=True, blank=True, default=dict, db_default=models.Value({}, models.JSONField()))
    created_at = models.DateTimeField(null=True, blank=True, default=timezone.now, db_default=Now())
    updated_at = models.DateTimeField(null=True, blank=True, editable=False, db_default=Now())

    objects = PatternQualityMetricManager()

    class Meta:
        db_table = "pattern_quality_metrics"
        verbose_name = "pattern quality metric"
        indexes = [
            LongNameIndex(fields=["-quality_score"], name="idx_pattern_quality_metrics_quality_score"),
            LongNameIndex(fields=["-measurement_timestamp"], name="idx_pattern_quality_metrics_measurement_timestamp"),
            GinIndex(fields=["metadata"], name="idx_pattern_quality_metrics_metadata"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["pattern_id"], name="pattern_quality_metrics_pattern_id_unique"),
            *_between_zero_and_one("pattern_quality_metrics", "quality_score", "confidence"),
        ]

    def __str__(self) -> str:
        return f"{self.quality_score:.2f} for {self.pattern_id}"


def _score(**kwargs: Any) -> models.DecimalField[Any, Any]:
    return models.DecimalField(max_digits=3, decimal_places=2, null=True, blank=True, **kwargs)


class PatternLineageNode(models.Model):
    """One version of one pattern: where it came from, how it fared, who used it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    pattern_id = models.CharField(max_length=255)
    pattern_name = models.CharField(max_length=255)
    pattern_type = models.CharField(max_length=100)
    pattern_version = models.CharField(max_length=50, default="1.0.0", db_default="1.0.0")
    lineage_id = models.UUIDField()
    generation = models.IntegerField(default=1, db_default=1)
    source_system = models.CharField(max_length=100, null=True, blank=True)
    source_user = models.CharField(max_length=100, null=True, blank=True)
    source_event_id = models.UUIDField(null=True, blank=True)
    pattern_data = models.JSONField()
    metadata = models.JSONField(null=True, blank=True)
    correlation_id = models.UUIDField()
    created_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    event_type = models.CharField(max_length=100, null=True, blank=True)
    tool_name = models.CharField(max_length=255, null=True, blank=True)
    file_path = models.TextField(null=True, blank=True)
    language = models.CharField(max_length=50, null=True, blank=True)
    complexity_score = _score()
    documentation_score = _score()
    test_coverage_score = _score()
    reusability_score = _score()
    maintainability_score = _score()
    overall_quality = _score()
    usage_count = models.IntegerField(null=True, blank=True, default=0, db_default=0)
    last_used_at = models.DateTimeField(null=True, blank=True)
    used_by_agents = TextArrayField(null=True, blank=True)

    class Meta:
        db_table = "pattern_lineage_nodes"
        verbose_name = "pattern lineage node"
        constraints = [
            models.UniqueConstraint(fields=["pattern_id", "pattern_version"], name="unique_pattern_lineage_version"),
            *_between_zero_and_one("pattern_lineage_nodes", *SCORES),
        ]

    def __str__(self) -> str:
        return f"{self.pattern_name} {self.pattern_version}"


REQUIRED = ("pattern_id", "quality_score", "confidence", "measurement_timestamp")
MEASUREMENT = (*REQUIRED, "version", "metadata")
"""What a metric and its history have in common."""


class PatternMetricHistory(models.Model):
    """One measurement of a pattern, given, replaced or removed; with ``INTEGRITY_KEEP_METRIC_HISTORY``. Ours."""

    pattern_id = models.UUIDField()
    quality_score = models.FloatField()
    confidence = models.FloatField()
    measurement_timestamp = models.DateTimeField()
    version = models.TextField(null=True)
    metadata = models.JSONField(null=True)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "integrity_pattern_metric_history"
        verbose_name = "pattern metric history"
        constraints = [
            models.UniqueConstraint(fields=["pattern_id", "measurement_timestamp"], name="unique_pattern_measurement"),
        ]

    def __str__(self) -> str:
        return f"{self.quality_score:.2f} for {self.pattern_id} at {self.measurement_timestamp:%Y-%m-%d %H:%M}"
