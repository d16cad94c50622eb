"""upsert against Django's bulk_create, against hand-written COPY + INSERT ... ON CONFLICT, and against one by one.

Claim: 100,000 quality metrics, half of them there already and different, take at most half of the time of
``bulk_create(update_conflicts=True)`` and at most 1.3 times that of the hand-written statements.

    python -m benchmarks.bench_upsert [rows]
"""

from __future__ import annotations

import statistics
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from benchmarks.scratch import postgresql, seconds
from tests.databases import Database

COLUMNS = ("pattern_id", "quality_score", "confidence", "measurement_timestamp", "version", "metadata")
EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
CONSTRAINT = "pattern_quality_metrics_pattern_id_unique"
ONE_BY_ONE = 1000
ROUNDS = 7


def scores(count: int, *, moment: datetime, quality: float) -> list[dict[str, Any]]:
    """Scores of the patterns 0 to ``count``."""
    metadata = {"completeness_score": 0.5, "complexity_score": 0.25}
    return [
        {
            "pattern_id": uuid.uuid5(uuid.NAMESPACE_OID, str(n)),
            "quality_score": quality,
            "confidence": (n % 100) / 100,
            "measurement_timestamp": moment,
            "version": "1.0.0",
            "metadata": metadata,
        }
        for n in range(count)
    ]


def by_upsert(rows: list[dict[str, Any]], _database: Database) -> None:
    from integrity.models import PatternQualityMetric
    from integrity.writes import upsert

    upsert(model=PatternQualityMetric, rows=rows, constraint=CONSTRAINT, newer_wins="measurement_timestamp")


def by_bulk_create(rows: list[dict[str, Any]], _database: Database) -> None:
    from integrity.models import PatternQualityMetric

    PatternQualityMetric.objects.bulk_create(
        [PatternQualityMetric(**row) for row in rows],
        update_conflicts=True,
        unique_fields=["pattern_id"],
        update_fields=COLUMNS[1:],
    )


def by_hand(rows: list[dict[str, Any]], database: Database) -> None:
    with psycopg.connect(database.url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE s ON COMMIT DROP AS SELECT * FROM pattern_quality_metrics LIMIT 0")
        with cursor.copy(f"COPY s ({', '.join(COLUMNS)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row((*(row[name] for name in COLUMNS[:-1]), Jsonb(row["metadata"])))
        cursor.execute(
            f"""
            INSERT INTO pattern_quality_metrics ({", ".join(COLUMNS)}) SELECT {", ".join(COLUMNS)} FROM s
            ON CONFLICT (pattern_id) DO UPDATE
            SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])}
            WHERE excluded.measurement_timestamp > pattern_quality_metrics.measurement_timestamp
            """
        )


def one_by_one(rows: list[dict[str, Any]], database: Database) -> None:
    """As the original: a connection, a statement and a commit for each score; for some of the rows only."""
    for row in rows[:: max(1, len(rows) // ONE_BY_ONE)][:ONE_BY_ONE]:
        with psycopg.connect(database.url) as connection:
            connection.execute(
                f"""
                INSERT INTO pattern_quality_metrics ({", ".join(COLUMNS)}) VALUES (%s, %s, %s, %s, %s, %s)
                ON CONFLICT (pattern_id) DO UPDATE
                SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])}
                """,
                (*(row[name] for name in COLUMNS[:-1]), Jsonb(row["metadata"])),
            )


Way = Callable[[list[dict[str, Any]], Database], None]


def measure(way: Way, count: int, database: Database) -> float:
    """Return the time on a table of which half of the rows are there, with older scores."""
    rows = scores(count, moment=EARLIER + timedelta(days=1), quality=0.75)
    database.execute("TRUNCATE pattern_quality_metrics")
    by_hand(scores(count, moment=EARLIER, quality=0.5)[::2], database)
    database.execute("ANALYZE pattern_quality_metrics")
    return seconds(lambda: way(rows, database))


WAYS: tuple[Way, ...] = (by_hand, by_upsert, by_bulk_create, one_by_one)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with postgresql() as database:
        rounds = [{way.__name__: measure(way, count, database) for way in WAYS} for _ in range(ROUNDS)]
    taken = {way.__name__: statistics.median(times[way.__name__] for times in rounds) for way in WAYS}
    taken["one_by_one"] *= count / min(ONE_BY_ONE, count)
    print(f"{count} quality metrics, half of them new; median of {ROUNDS} rounds; one_by_one scaled from {ONE_BY_ONE}")
    for name, time in taken.items():
        print(f"{name:15} {time:8.2f} s   {time / taken['by_upsert']:7.2f} x by_upsert")


if __name__ == "__main__":
    main()
