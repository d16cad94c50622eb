"""The history of pattern metrics: each measurement that a newer one replaced, and each one that was given.

A measurement is a pattern at a moment; the history holds each once. Whoever writes through ``store_quality_metrics``
enters what it writes in the same transaction, so that a measurement in the table that is not in the history was
written by somebody else: it is read, and locked, before it can be replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from integrity.models import PatternMetricHistory, PatternQualityMetric
from integrity.models.patterns import MEASUREMENT, REQUIRED
from integrity.writes.results import UpsertResult
from integrity.writes.upsert import upsert
from integrity.writes.values import Row

Held = dict[Any, dict[str, Any]]
"""Measurements by the primary key of their metric."""


def replacing(write: Callable[[], UpsertResult], *, patterns: Iterable[Any], using: str) -> tuple[UpsertResult, Held]:
    """Write measurements of these patterns; return the result, and what the table held of the patterns before.

    Locks these rows FOR NO KEY UPDATE, in the order of the patterns, inside the caller's transaction.
    """
    while True:
        with transaction.atomic(using=using):
            held = measurements(patterns, using=using)
            result = write()
            if held.keys() >= set(result.updated):
                return result, held
            # Somebody has added one in between, and it is overwritten unseen. Once more: now it can be locked.
            transaction.set_rollback(True, using=using)


def measurements(patterns: Iterable[Any], *, using: str) -> Held:
    """Return what the table holds of these patterns, locked."""
    rows = PatternQualityMetric.objects.using(using).filter(pattern_id__in=_ids(patterns)).order_by("pattern_id")
    return {row.pop("pk"): row for row in rows.select_for_update(no_key=True).values("pk", *MEASUREMENT)}


def remember(rows: Sequence[Row], *, using: str) -> None:
    """Enter measurements that are not in the history; of several of one pattern and moment the first one given.

    An adopted table may hold rows without a score or a moment: they measure nothing.
    """
    complete = [row for row in rows if all(row[name] is not None for name in REQUIRED)]
    upsert(model=PatternMetricHistory, rows=complete, constraint="unique_pattern_measurement", update=(), using=using)


def _ids(patterns: Iterable[Any]) -> list[Any]:
    """Those that are ids: the write itself says what is wrong with the others."""
    field, ids = PatternQualityMetric._meta.get_field("pattern_id"), []
    for pattern in patterns:
        with suppress(ValidationError):
            ids.append(field.to_python(pattern))
    return ids
