"""One quality metric for each pattern: the newest measurement, whichever was written last.

A late writer must not win over a newer measurement, so it is the time of measuring that counts.
"""

from integrity.dedupe.keep import Latest
from integrity.dedupe.rule import DedupeRule
from integrity.rules.registry import register

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
