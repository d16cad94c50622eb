"""One quality metric for each pattern: the newest measurement, whichever was written last.

A late writer must not win over a newer measurement, so it is the time of measuring that counts. What loses may be
kept for trends (docs/decisions/0045-the-history-of-measurements.md).
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.dispatch import receiver

from integrity import conf
from integrity.backends import get_catalogue
from integrity.dedupe.copying import copy_removed
from integrity.dedupe.keep import Latest
from integrity.dedupe.rule import DedupeRule
from integrity.models.patterns import MEASUREMENT
from integrity.rules.registry import register
from integrity.signals import run_state_changed

PATTERN_METRICS = register(
    DedupeRule(
        name="pattern_metrics",
        model="integrity.PatternQualityMetric",
        fields=("pattern_id",),
        keep=(Latest("measurement_timestamp"), Latest("created_at")),
        content=("quality_score", "confidence", "metadata"),
        clock="measurement_timestamp",
    ),
    system="patterns",
)

HISTORY = "integrity_pattern_metric_history"


@receiver(run_state_changed, dispatch_uid="integrity.rules.patterns.keep_removed_measurements")
def keep_removed_measurements(*, using: str, run: int, **_: Any) -> None:
    """Copy the measurements that a run has removed by now to the history, where the setting says so."""
    # While the constraint comes to a new database the history is not there yet: its own migration copies these.
    if conf.keep_metric_history() and HISTORY in get_catalogue(using=using).tables():
        copy_removed(
            table="pattern_quality_metrics",
            into=HISTORY,
            names=MEASUREMENT,
            newest="created_at",
            run=run,
            apps=apps,
            using=using,
        )
