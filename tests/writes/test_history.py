"""The history of pattern metrics: every measurement that is given or replaced, each once."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from integrity.models import PatternMetricHistory, PatternQualityMetric
from integrity.writes import history, store_quality_metrics
from tests.databases import Database
from tests.waiting import eventually
from tests.writes.racing import race
from tests.writes.test_patterns import HOUR, NOON, PATTERN, a_score, outcome


@pytest.fixture(autouse=True)
def history_is_kept(settings: Any) -> None:
    settings.INTEGRITY_KEEP_METRIC_HISTORY = True


def at(hours: int, score: float, **extra: Any) -> Any:
    return a_score(quality_score=score, measurement_timestamp=NOON + hours * HOUR, **extra)


def kept() -> list[float]:
    """The scores in the history, by the moment of measuring."""
    return list(
        PatternMetricHistory.objects.order_by("measurement_timestamp", "pk").values_list("quality_score", flat=True)
    )


def current() -> float:
    return PatternQualityMetric.objects.get().quality_score


def test_nothing_is_kept_unless_the_setting_says_so(database: Database, settings: Any) -> None:
    del settings.INTEGRITY_KEEP_METRIC_HISTORY

    outcome(at(0, 0.1))
    outcome(at(1, 0.2))

    assert kept() == []


def test_each_measurement_that_is_given_is_kept_once_however_late_and_often(database: Database) -> None:
    for _ in range(2):
        for hours in (0, 2, 1):
            store_quality_metrics(scores=[at(hours, hours / 10)])

    assert kept() == [0.0, 0.1, 0.2]
    assert current() == 0.2


def test_a_measurement_that_others_stored_is_kept_once_it_is_replaced(database: Database) -> None:
    PatternQualityMetric.objects.create(
        pattern_id=PATTERN, quality_score=0.1, confidence=0.3, measurement_timestamp=NOON, metadata={"by": "hand"}
    )

    assert outcome(at(1, 0.2)) == "updated"

    first = PatternMetricHistory.objects.earliest("measurement_timestamp")
    assert (first.quality_score, first.confidence, first.version, first.metadata) == (0.1, 0.3, "1.0.0", {"by": "hand"})
    assert kept() == [0.1, 0.2]


def test_of_equal_moments_the_history_keeps_what_the_table_keeps(database: Database) -> None:
    store_quality_metrics(scores=[at(0, 0.1), at(0, 0.2)])
    store_quality_metrics(scores=[at(0, 0.3)])

    assert [current()] == kept() == [0.1]


def test_a_score_of_unknown_time_is_kept_with_the_moment_it_got(database: Database) -> None:
    undated = a_score(measurement_timestamp=None, quality_score=0.1)

    store_quality_metrics(scores=[undated])
    stored = PatternQualityMetric.objects.get().measurement_timestamp
    store_quality_metrics(scores=[undated, at(24 * 365 * 70, 0.2)])

    assert kept() == [0.1, 0.2]
    assert PatternMetricHistory.objects.earliest("measurement_timestamp").measurement_timestamp == stored


def test_what_measures_nothing_is_replaced_and_not_kept(postgres_database: Database) -> None:
    postgres_database.execute("ALTER TABLE pattern_quality_metrics ALTER measurement_timestamp DROP NOT NULL")
    postgres_database.execute(
        "INSERT INTO pattern_quality_metrics (pattern_id, quality_score, confidence, measurement_timestamp) "
        "VALUES (%s, 0.1, 1, NULL)",
        (PATTERN,),
    )

    assert outcome(at(1, 0.2)) == "updated"

    assert kept() == [0.2]


def test_scores_that_are_rejected_are_not_kept(database: Database) -> None:
    scores = [at(0, 2), at(0, 0.1), at(0, 0.2, pattern_id="nonsense"), at(1, 0.3, pattern_id=str(uuid.UUID(int=2)))]

    result = store_quality_metrics(scores=scores, on_error="isolate")

    assert sorted(one.position for one in result.failed) == [0, 2]
    assert kept() == [0.1, 0.3]


def test_history_and_metric_are_written_together_or_not_at_all(postgres_database: Database) -> None:
    postgres_database.execute("ALTER TABLE integrity_pattern_metric_history ADD CHECK (quality_score < 0.5)")

    with pytest.raises(Exception, match="check constraint"):
        store_quality_metrics(scores=[a_score()])

    assert not PatternQualityMetric.objects.exists()


def test_more_scores_take_no_more_statements(database: Database) -> None:
    patterns = [uuid.UUID(int=n) for n in range(1, 61)]

    def statements(hours: int, count: int) -> int:
        scores = [at(hours, hours / 10, pattern_id=pattern) for pattern in patterns[:count]]
        with CaptureQueriesContext(connection) as captured:
            store_quality_metrics(scores=scores)
        return len(captured)

    statements(0, 60)

    assert statements(1, 20) == statements(2, 60)


def test_what_a_writer_at_work_has_not_committed_yet_is_kept_when_it_is_replaced(postgres_database: Database) -> None:
    outcome(at(0, 0.1))
    failures: list[Exception] = []

    def second() -> None:
        try:
            store_quality_metrics(scores=[at(2, 0.3)])
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    with transaction.atomic():
        store_quality_metrics(scores=[at(1, 0.2)])
        thread = threading.Thread(target=second)
        thread.start()
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        eventually(lambda: postgres_database.execute(waiting))
    thread.join()

    assert failures == []
    assert kept() == [0.1, 0.2, 0.3]
    assert current() == 0.3


def test_what_others_add_between_looking_and_writing_is_kept(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = """
        INSERT INTO pattern_quality_metrics (pattern_id, quality_score, confidence, measurement_timestamp)
        VALUES (%s, 0.1, 1, %s) ON CONFLICT DO NOTHING
    """
    look = history.measurements

    def look_too_early(*args: Any, **options: Any) -> history.Held:
        found = look(*args, **options)
        postgres_database.execute(insert, (PATTERN, NOON))
        return found

    monkeypatch.setattr(history, "measurements", look_too_early)

    assert outcome(at(1, 0.2)) == "updated"
    assert kept() == [0.1, 0.2]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_every_measurement_of_racing_writers_is_kept_once(postgres_database: Database, isolation: str) -> None:
    name = connection.settings_dict["NAME"]
    postgres_database.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation TO '{isolation}'")
    connections.close_all()
    patterns = [uuid.UUID(int=n) for n in range(1, 31)]
    barrier = threading.Barrier(8)

    def worker(writer: int) -> None:
        barrier.wait()
        for hours in range(writer, 40, 8):
            mixed = patterns[hours % 30 :] + patterns[: hours % 30]
            store_quality_metrics(scores=[at(hours, hours / 100, pattern_id=pattern) for pattern in mixed])

    race(worker, range(8))

    found = PatternMetricHistory.objects.values_list("pattern_id", "measurement_timestamp")
    assert sorted(found) == [(pattern, NOON + hours * HOUR) for pattern in patterns for hours in range(40)]
    assert set(PatternQualityMetric.objects.values_list("measurement_timestamp", flat=True)) == {NOON + 39 * HOUR}
