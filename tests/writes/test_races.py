"""Many writers of the same keys: one row for each key, the right winner, and counts that add up."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, models, transaction

from integrity.models import PatternQualityMetric
from integrity.writes import DuplicateKey, UpsertResult, upsert
from project.local import CHECKOUT
from tests.databases import Database
from tests.waiting import eventually
from tests.writes.books import a_model_of_books
from tests.writes.racing import race

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = 60
BY_ISBN = models.UniqueConstraint(fields=["isbn"], name="one_isbn")


def rows_of(writer: int) -> list[dict[str, Any]]:
    """Each writer's own version of overlapping keys, in an order of its own, some keys twice."""
    chosen = random.Random(writer)
    keys = [*range(KEYS), *chosen.sample(range(KEYS), 10)]
    chosen.shuffle(keys)
    return [
        {"isbn": f"k{key}", "title": f"w{writer}", "seen": EPOCH + timedelta(seconds=(writer * 7 + key) % 16)}
        for key in keys
    ]


def newest_of(writers: int) -> dict[str, datetime]:
    rows = [row for writer in range(writers) for row in rows_of(writer)]
    return {isbn: max(row["seen"] for row in rows if row["isbn"] == isbn) for isbn in {row["isbn"] for row in rows}}


def added_up(results: list[UpsertResult]) -> Counter[str]:
    total: Counter[str] = Counter()
    for result in results:
        total.update(result.counts)
    return total


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
@pytest.mark.parametrize("chunk_size", [15, 70], ids=["in chunks", "at once"])
def test_sixteen_threads_leave_one_row_for_each_key(
    postgres_database: Database, isolation: str, chunk_size: int
) -> None:
    book = a_model_of_books(BY_ISBN)
    name = connection.settings_dict["NAME"]
    postgres_database.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation TO '{isolation}'")
    barrier = threading.Barrier(16)

    def worker(writer: int) -> UpsertResult:
        with connection.cursor() as cursor:
            cursor.execute("SHOW default_transaction_isolation")
            assert cursor.fetchone() == (isolation,)
        barrier.wait()
        return upsert(model=book, rows=rows_of(writer), constraint="one_isbn", newer_wins="seen", chunk_size=chunk_size)

    connections.close_all()
    results = race(worker, range(16))

    total = added_up(results)
    assert total["inserted"] == book.objects.count() == KEYS
    assert sum(total.values()) == 16 * len(rows_of(0))
    assert total["failed"] == 0
    assert dict(book.objects.values_list("isbn", "seen")) == newest_of(16)


def test_writers_in_transactions_of_their_own_wait_for_each_other(sqlite_database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    barrier = threading.Barrier(4)

    def worker(writer: int) -> UpsertResult:
        barrier.wait()
        with transaction.atomic():
            return upsert(model=book, rows=rows_of(writer), constraint="one_isbn", newer_wins="seen")

    connections.close_all()
    results = [result for _ in range(5) for result in race(worker, range(4))]

    assert added_up(results)["inserted"] == book.objects.count() == KEYS


def test_a_writer_that_waited_for_another_sees_what_it_wrote(postgres_database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    waiting = threading.Event()

    def late(_number: int) -> UpsertResult:
        waiting.set()
        row = {"isbn": "a", "title": "older", "seen": EPOCH}
        return upsert(model=book, rows=[row], constraint="one_isbn", newer_wins="seen")

    with transaction.atomic():
        newer = {"isbn": "a", "title": "newer", "seen": EPOCH + timedelta(1)}
        upsert(model=book, rows=[newer], constraint="one_isbn")
        thread = threading.Thread(target=lambda: results.extend(race(late, [0])))
        results: list[UpsertResult] = []
        thread.start()
        waiting.wait()
        _until_somebody_waits(postgres_database)
    thread.join()

    assert len(results[0].stale) == 1
    assert book.objects.get().title == "newer"


@pytest.mark.parametrize("within", [nullcontext, transaction.atomic], ids=["alone", "in a transaction"])
def test_a_row_with_two_keys_that_another_writer_is_inserting_is_met(
    postgres_database: Database, within: Callable[[], AbstractContextManager[None]]
) -> None:
    book = a_model_of_books(BY_ISBN)
    row = {"id": 7, "isbn": "a", "title": "late"}
    connections.close_all()

    def late(_number: int) -> UpsertResult:
        with within():
            return upsert(model=book, rows=[row], constraint="one_isbn")

    with ThreadPoolExecutor(1) as thread, transaction.atomic():
        # The other writer's row is in the index of its primary key, and not yet in that of the target.
        book.objects.create(id=7, isbn="to come")
        result = thread.submit(race, late, [0])
        _until_somebody_waits(postgres_database)
        book.objects.update(isbn="a")

    assert result.result()[0].counts["updated"] == 1
    assert book.objects.values_list("id", "isbn", "title").get() == (7, "a", "late")


def test_a_row_whose_other_key_is_anothers_is_refused(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    book.objects.create(id=7, isbn="b")

    with pytest.raises(DuplicateKey, match=r"book: id\b"):
        upsert(model=book, rows=[{"id": 7, "isbn": "a"}], constraint="one_isbn")

    assert book.objects.values_list("id", "isbn").get() == (7, "b")


def _until_somebody_waits(database: Database) -> None:
    query = "SELECT 1 FROM pg_locks WHERE NOT granted"
    eventually(lambda: database.execute(query))


def test_a_spurious_violation_of_an_index_being_built_is_tried_again(postgres_database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    # As during REINDEX CONCURRENTLY: a second index on the same key, which is no arbiter, complains first.
    postgres_database.execute("CREATE SEQUENCE tries")
    postgres_database.execute(
        """
        CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('tries') < 3 THEN
                RAISE EXCEPTION USING ERRCODE = '23505', CONSTRAINT = 'one_isbn_ccnew', MESSAGE = 'spurious';
            END IF;
            RETURN NEW;
        END $$
        """
    )
    postgres_database.execute("CREATE TRIGGER early BEFORE INSERT ON book FOR EACH ROW EXECUTE FUNCTION complain()")

    result = upsert(model=book, rows=[{"isbn": "a"}], constraint="one_isbn")

    assert len(result.inserted) == 1


WRITER = """
import json, sys, django
django.setup()
from datetime import datetime, timedelta
from django.db import models
from integrity.models import PatternQualityMetric
from integrity.writes import upsert
number, epoch = int(sys.argv[1]), datetime.fromisoformat("2026-01-01T00:00:00Z")
rows = [
    {
        "pattern_id": f"{key:032x}", "quality_score": 0.5, "confidence": 0.5, "version": str(number),
        "measurement_timestamp": epoch + timedelta(seconds=(number * 7 + key) % 16),
    }
    for key in range(200)
]
sys.stdin.read(1)
by_pattern = "pattern_quality_metrics_pattern_id_unique"
result = upsert(
    model=PatternQualityMetric, rows=rows, constraint=by_pattern, newer_wins="measurement_timestamp", chunk_size=20
)
print(json.dumps(result.counts))
"""


@pytest.mark.slow
def test_four_processes_leave_one_row_for_each_key(database: Database) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number)],
            cwd=CHECKOUT,
            env=database.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("!")
        writer.stdin.close()
        writer.stdin = None
    counts = [json.loads(writer.communicate()[0]) for writer in writers]

    assert sum(sum(one.values()) for one in counts) == 800
    assert sum(one["inserted"] for one in counts) == PatternQualityMetric.objects.count() == 200
    for metric in PatternQualityMetric.objects.all():
        key = metric.pattern_id.int
        newest = max((number * 7 + key) % 16 for number in range(4))
        assert metric.measurement_timestamp == EPOCH + timedelta(seconds=newest)
