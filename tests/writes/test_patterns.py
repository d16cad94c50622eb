"""Quality metrics: one for each pattern, the newest measurement."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from integrity.models import PatternQualityMetric
from integrity.writes import DIMENSIONS, QualityScore, RowRejected, store_quality_metrics
from tests.databases import Database

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PATTERN = uuid.UUID(int=1)


def a_score(**extra: Any) -> QualityScore:
    values: dict[str, Any] = {
        "pattern_id": PATTERN,
        "quality_score": 0.5,
        "confidence": 0.9,
        "measurement_timestamp": NOON,
        "metadata": {"completeness_score": 0.25},
    }
    return QualityScore(**{**values, **extra})


def outcome(*scores: QualityScore) -> str:
    (name,) = [name for name, count in store_quality_metrics(scores=scores).counts.items() if count]
    return name


def test_the_newest_measurement_wins_however_late_an_older_one_comes(database: Database) -> None:
    assert outcome(a_score(quality_score=0.1)) == "inserted"
    assert outcome(a_score(quality_score=0.3, measurement_timestamp=NOON + HOUR)) == "updated"
    assert outcome(a_score(quality_score=0.2, measurement_timestamp=NOON - HOUR)) == "stale"
    assert outcome(a_score(quality_score=0.4, measurement_timestamp=NOON + HOUR)) == "unchanged"

    metric = PatternQualityMetric.objects.get()
    assert (metric.quality_score, metric.measurement_timestamp) == (0.3, NOON + HOUR)
    assert metric.metadata == {"completeness_score": 0.25}


def test_updated_at_follows_changes_only(database: Database) -> None:
    times = PatternQualityMetric.objects.values_list("created_at", "updated_at")

    outcome(a_score())
    first = times.get()
    outcome(a_score())
    same = times.get()
    outcome(a_score(measurement_timestamp=NOON + HOUR))
    changed = times.get()

    assert same == first
    assert changed[0] == first[0]
    assert first[1] is not None
    assert changed[1] is not None
    assert changed[1] > first[1]


def test_a_deployment_without_updated_at_is_served_too(database: Database) -> None:
    database.execute("ALTER TABLE pattern_quality_metrics DROP COLUMN updated_at")

    assert outcome(a_score()) == "inserted"
    assert outcome(a_score(measurement_timestamp=NOON + HOUR)) == "updated"


def test_a_score_of_unknown_time_fills_a_gap_and_replaces_nothing(database: Database) -> None:
    unknown = a_score(measurement_timestamp=None, quality_score=0.1)

    assert outcome(unknown) == "inserted"
    assert outcome(unknown) == "unchanged"
    assert outcome(a_score(measurement_timestamp=datetime(2100, 1, 1, tzinfo=UTC))) == "updated"
    assert outcome(unknown) == "unchanged"
    assert PatternQualityMetric.objects.get().quality_score == 0.5


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", None, True])
def test_dimensions_outside_their_range_are_refused(sqlite_database: Database, dimension: str, value: Any) -> None:
    with pytest.raises(RowRejected, match=rf"row 0 \(pattern_id={PATTERN}\): {dimension} is"):
        store_quality_metrics(scores=[a_score(metadata={dimension: value})])


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("quality_score", 1.5, "quality_score is 1.5"),
        ("confidence", float("inf"), "confidence is inf"),
        ("measurement_timestamp", datetime(2026, 1, 1), "no time zone"),
        ("measurement_timestamp", datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), "outside of the years"),
        ("measurement_timestamp", datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))), "outside of the years"),
        ("pattern_id", "nonsense", "nonsense"),
    ],
)
def test_what_is_no_score_is_refused(sqlite_database: Database, field: str, value: Any, says: str) -> None:
    with pytest.raises(RowRejected, match=says):
        store_quality_metrics(scores=[a_score(**{field: value})])

    assert not PatternQualityMetric.objects.exists()


def test_bad_scores_can_be_isolated_and_keep_their_place_in_the_input(database: Database) -> None:
    scores = [
        a_score(measurement_timestamp=None, quality_score=2),
        a_score(),
        a_score(pattern_id=uuid.UUID(int=2), confidence=2),
    ]

    result = store_quality_metrics(scores=scores, on_error="isolate")

    assert [one.position for one in sorted(result.failed, key=lambda one: one.position)] == [0, 2]
    assert result.counts["inserted"] == 1
