"""Ids: ordered in time when Python makes them, safe on SQLite when the database does."""

from __future__ import annotations

import time
import uuid

from integrity.models import PatternQualityMetric
from integrity.models.fields import uuid7
from tests.databases import Database

INSERT = "INSERT INTO pattern_quality_metrics (pattern_id, quality_score, confidence) VALUES ('{}', 0.5, 0.5)"


def test_an_id_is_of_version_7_and_begins_with_its_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    found = uuid7()

    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert before <= found.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_differ_and_are_ordered_by_their_milliseconds() -> None:
    found = [uuid7() for _ in range(10_000)]

    assert len(set(found)) == 10_000
    assert [pk.int >> 80 for pk in found] == sorted(pk.int >> 80 for pk in found)


def test_the_database_makes_ids_that_django_reads(database: Database) -> None:
    for _ in range(20):
        pattern = uuid7()
        database.execute(INSERT.format(pattern if database.vendor == "postgresql" else pattern.hex))

    found = set(PatternQualityMetric.objects.values_list("pk", flat=True))

    assert len(found) == 20
    assert all(isinstance(key, uuid.UUID) for key in found)
    assert PatternQualityMetric.objects.filter(pk=min(found)).exists()


def test_ids_made_by_sqlite_stay_text(sqlite_database: Database) -> None:
    for _ in range(20):
        sqlite_database.execute(INSERT.format(uuid7().hex))

    assert sqlite_database.execute("SELECT DISTINCT typeof(id), length(id) FROM pattern_quality_metrics") == [
        ("text", 32)
    ]
