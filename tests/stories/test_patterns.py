"""Pattern quality metrics: the newest measurement wins, in both shapes in which the table is deployed."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection

from integrity.backends import get_catalogue
from integrity.models import PatternQualityMetric
from tests.conftest import Databases
from tests.operations.owners import METRICS, METRICS_AS_DEPLOYED_ELSEWHERE, PATTERNS, build
from tests.snapshots import snapshot
from tests.stories.conftest import Owned
from tests.stories.telling import Call, assert_refused, column, indexes, migrate, put, undo_everything, unique_keys

pytestmark = pytest.mark.slow

TABLE = "pattern_quality_metrics"
PATTERN, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


def metric(pattern: uuid.UUID, score: float, *, day: int) -> dict[str, Any]:
    return {
        "pattern_id": pattern,
        "quality_score": score,
        "confidence": 0.5,
        "measurement_timestamp": f"2026-03-{day:02} 12:00:00+00:00",
    }


def dirty() -> None:
    put(TABLE, **metric(PATTERN, 0.1, day=3))
    put(TABLE, **metric(PATTERN, 0.9, day=20))
    put(TABLE, **metric(PATTERN, 0.2, day=10))
    put(TABLE, **metric(OTHER, 0.4, day=1))


def test_from_dirty_to_constrained_and_back(owned: Owned, call: Call) -> None:
    owned(PATTERNS, METRICS)
    dirty()
    before = snapshot()

    assert "removed 2 redundant rows" in migrate(call, "0006")

    assert column(TABLE, "quality_score") == [0.4, 0.9]
    assert "pattern_quality_metrics_pattern_id_unique" in indexes(TABLE)
    assert "idx_pattern_quality_metrics_pattern_id" not in indexes(TABLE)
    assert_refused(TABLE, **metric(PATTERN, 0.7, day=30))

    migrate(call, "0005")
    assert "idx_pattern_quality_metrics_pattern_id" in indexes(TABLE)
    undo_everything(call)
    assert snapshot() == before


def test_the_second_deployment_loses_its_foreign_key_and_gets_everything_back(
    vendor: str, databases: Databases, call: Call
) -> None:
    database = databases.empty(vendor)
    build(database, PATTERNS, METRICS_AS_DEPLOYED_ELSEWHERE)
    migrate(call, "0001")
    for number in (PATTERN, OTHER):
        put(
            "pattern_lineage_nodes", id=number, pattern_id=str(number), pattern_name="n", pattern_type="t",
            lineage_id=number, pattern_data={}, correlation_id=number,
        )  # fmt: skip
    dirty()
    before, indexes_before = snapshot(), indexes(TABLE)

    migrate(call, "0006")

    assert column(TABLE, "quality_score") == [0.4, 0.9]
    assert "idx_pqm_pattern_id" not in indexes(TABLE)
    if vendor == "postgresql":
        assert get_catalogue(using="default").foreign_keys(TABLE) == ()
        put(TABLE, **metric(uuid.UUID(int=3), 0.3, day=1))  # a pattern without lineage
        database.execute("DELETE FROM pattern_quality_metrics WHERE quality_score = 0.3")

    migrate(call, "0005")
    undo_everything(call)
    assert (snapshot(), indexes(TABLE)) == (before, indexes_before)
    (key,) = get_catalogue(using="default").foreign_keys(TABLE)
    assert (key.on_delete, key.validated) == ("CASCADE", True)


def test_a_foreign_key_comes_back_for_new_rows_when_old_ones_break_it(
    postgres_database: Any, databases: Databases, call: Call
) -> None:
    database = databases.empty("postgresql")
    build(database, PATTERNS, METRICS_AS_DEPLOYED_ELSEWHERE)
    migrate(call, "0006")
    put(TABLE, **metric(PATTERN, 0.3, day=1))

    said = migrate(call, "0005")

    (key,) = get_catalogue(using="default").foreign_keys(TABLE)
    assert not key.validated
    assert "holds for new rows only" in said


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_on_an_empty_table(owned: Owned, call: Call, times: int) -> None:
    owned(PATTERNS, METRICS)

    for _ in range(times):
        migrate(call, "0006")
        assert ("pattern_id",) in unique_keys(TABLE)
        migrate(call, "0005")
        assert ("pattern_id",) not in unique_keys(TABLE)
    assert connection.is_usable()


HISTORY = "integrity_pattern_metric_history"


def test_what_is_removed_stays_in_the_history_whatever_is_reversed_and_undone(
    owned: Owned, call: Call, settings: Any
) -> None:
    settings.INTEGRITY_KEEP_METRIC_HISTORY = True
    owned(PATTERNS, METRICS)
    dirty()
    before = snapshot()

    migrate(call, "0009")
    assert column(HISTORY, "quality_score") == [0.1, 0.2, 0.9]

    assert "it stays" in migrate(call, "0005")
    undo_everything(call)
    assert snapshot() == before
    migrate(call, "0009")
    assert column(HISTORY, "quality_score") == [0.1, 0.2, 0.9]


def test_without_the_setting_nothing_is_copied(owned: Owned, call: Call) -> None:
    owned(PATTERNS, METRICS)
    dirty()

    migrate(call, "0009")
    assert column(HISTORY, "quality_score") == []

    assert "it stays" not in migrate(call, "0008")
    assert HISTORY not in connection.introspection.table_names()


def test_a_run_of_the_command_keeps_what_it_removes(database: Any, call: Call, settings: Any) -> None:
    settings.INTEGRITY_KEEP_METRIC_HISTORY = True
    constraint = PatternQualityMetric._meta.constraints[0]
    assert constraint.name == "pattern_quality_metrics_pattern_id_unique"
    drop = "ALTER TABLE {} DROP CONSTRAINT {}" if connection.vendor == "postgresql" else "DROP INDEX {1}"
    database.execute(drop.format(TABLE, constraint.name))
    dirty()
    put(TABLE, **metric(PATTERN, 0.8, day=20), created_at="2020-01-01 00:00:00+00:00")  # one more of that moment

    result = call("dedupe_pattern_metrics", "--apply", "--no-input")

    assert result.code == 0, result.err
    assert column(TABLE, "quality_score") == [0.4, 0.9]
    assert column(HISTORY, "quality_score") == [0.1, 0.2, 0.9]
    assert call("purge_quarantine", "--older-than", "0d", "--no-input").code == 0
    assert column(HISTORY, "quality_score") == [0.1, 0.2, 0.9]


def test_a_removed_row_without_a_moment_is_not_in_the_way(postgres_database: Any, call: Call, settings: Any) -> None:
    settings.INTEGRITY_KEEP_METRIC_HISTORY = True
    postgres_database.execute(
        f"ALTER TABLE {TABLE} DROP CONSTRAINT pattern_quality_metrics_pattern_id_unique, "
        "ALTER measurement_timestamp DROP NOT NULL"
    )
    dirty()
    put(TABLE, **{**metric(PATTERN, 0.5, day=1), "measurement_timestamp": None})

    assert call("dedupe_pattern_metrics", "--apply", "--no-input").code == 0

    assert column(TABLE, "quality_score") == [0.4, 0.9]
    assert column(HISTORY, "quality_score") == [0.1, 0.2, 0.9]
