"""manage.py backfill_pattern_quality, from every source."""

from __future__ import annotations

import csv
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from integrity.models import PatternQualityMetric
from tests.commands import CommandResult
from tests.databases import Database
from tests.waiting import eventually

Call = Callable[..., CommandResult]
BACKFILL = "backfill_pattern_quality"


def an_entry(number: int, **extra: Any) -> dict[str, Any]:
    return {
        "pattern_id": str(uuid.UUID(int=number)),
        "quality_score": 0.5,
        "confidence": 0.9,
        "measurement_timestamp": "2026-01-01T12:00:00+00:00",
        **extra,
    }


def lines(*entries: dict[str, Any]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def snapshot(database: Database) -> list[Any]:
    return database.execute("SELECT * FROM pattern_quality_metrics ORDER BY pattern_id")


def test_run_twice_it_changes_nothing(database: Database, call: Call) -> None:
    text = lines(an_entry(1, completeness_score=0.25), an_entry(2, measurement_timestamp=None))

    first = call(BACKFILL, "--from-jsonl", "-", input=text)
    stored = snapshot(database)
    second = call(BACKFILL, "--from-jsonl", "-", input=text)

    assert (first.code, first.out) == (0, "Done: 2 inserted.\n")
    assert (second.code, second.out) == (0, "Done: 2 unchanged.\n")
    assert snapshot(database) == stored
    assert PatternQualityMetric.objects.get(pattern_id=uuid.UUID(int=1)).metadata == {"completeness_score": 0.25}


def test_entries_that_fail_are_named_and_make_the_exit_code_1(database: Database, call: Call) -> None:
    text = lines(an_entry(1), an_entry(2, quality_score=3), {"confidence": 1}) + "[]\nnonsense\n\n" + lines(
        an_entry(4, complexity_score=-1),
        an_entry(5, quality_score=None),
        an_entry(6, measurement_timestamp="yesterday"),
        an_entry(7, measurement_timestamp="2026-01-01T12:00:00"),
        an_entry(8, metadata=[1]),
    )  # fmt: skip

    result = call(BACKFILL, "--from-jsonl", "-", input=text)

    assert (result.code, result.out) == (1, "Done: 1 inserted, 9 failed.\n")
    failed = [line.partition(":")[0] for line in result.err.splitlines()]
    assert sorted(failed, key=lambda place: int(place.split()[1])) == [
        f"line {n}" for n in (2, 3, 4, 5, 7, 8, 9, 10, 11)
    ]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("pattern_id", ["x"], "pattern_id is ['x']: give a UUID"),
        ("pattern_id", 7.0, "pattern_id is 7.0: give a UUID"),
        ("pattern_id", True, "pattern_id is True: give a UUID"),
        ("confidence", "0,5", "confidence is '0,5', which is no number"),
        ("quality_score", [0.5], "quality_score is [0.5], which is no number"),
        ("measurement_timestamp", 1700000000, "measurement_timestamp is 1700000000: write it as ISO 8601"),
        ("measurement_timestamp", "yesterday", "measurement_timestamp is 'yesterday': write it as ISO 8601"),
        ("metadata", {"a": float("nan")}, ""),
    ],
)
def test_what_is_wrong_with_an_entry_is_told_on_one_line_with_the_fields_name(
    database: Database, call: Call, field: str, value: Any, says: str
) -> None:
    result = call(BACKFILL, "--from-jsonl", "-", "--collection", "c", input=lines(an_entry(1, **{field: value})))

    assert (result.code, result.out) == (1, "Done: 1 failed.\n")
    assert result.err.startswith("line 1: ")
    assert says in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("source", ["--from-jsonl", "--from-csv"])
def test_a_byte_order_mark_is_passed_over_on_stdin_too(sqlite_database: Database, call: Call, source: str) -> None:
    entry = an_entry(1)
    text = lines(entry) if source == "--from-jsonl" else f"{','.join(entry)}\n{','.join(map(str, entry.values()))}\n"

    assert call(BACKFILL, source, "-", input="\ufeff" + text).out == "Done: 1 inserted.\n"


def test_a_folder_that_is_none_of_qdrants_is_left_as_it_is(
    sqlite_database: Database, call: Call, tmp_path: Path
) -> None:
    result = call(BACKFILL, "--from-qdrant", str(tmp_path), "--collection", "c")

    assert (result.code, "is none of Qdrant's" in result.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_entries_beyond_what_python_reads_fail_alone(database: Database, call: Call) -> None:
    deep = "[" * 100_000
    text = lines(an_entry(1), an_entry(2, quality_score=10**400), an_entry(3, metadata=deep)) + deep + "\n"

    result = call(BACKFILL, "--from-jsonl", "-", input=text + lines(an_entry(5, version="\ud800"), an_entry(6)))

    assert (result.code, result.out) == (1, "Done: 2 inserted, 4 failed.\n")
    assert sorted(line.partition(":")[0] for line in result.err.splitlines()) == [f"line {n}" for n in (2, 3, 4, 5)]


def test_a_row_of_csv_that_cannot_be_read_fails_alone(database: Database, call: Call) -> None:
    header, good = "pattern_id,quality_score,confidence\n", f"{uuid.UUID(int=1)},0.5,0.5\n"
    text = f"{header}{uuid.UUID(int=2)},{'1' * 140_000},0.5\n{good}"

    result = call(BACKFILL, "--from-csv", "-", input=text)

    assert (result.code, result.out) == (1, "Done: 1 inserted, 1 failed.\n")
    assert result.err == "line 2: no CSV: field larger than field limit (131072)\n"


def test_a_header_that_cannot_be_read_is_one_line_and_exit_code_2(sqlite_database: Database, call: Call) -> None:
    result = call(BACKFILL, "--from-csv", "-", input=f"pattern_id,{'x' * 140_000}\n")

    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert "is no header" in result.err


def test_a_dry_run_says_the_same_and_stores_nothing(database: Database, call: Call) -> None:
    result = call(BACKFILL, "--dry-run", "--from-jsonl", "-", input=lines(an_entry(1), an_entry(1), an_entry(2)))

    assert (result.code, result.out) == (0, "Would be: 2 inserted, 1 folded.\n")
    assert snapshot(database) == []


def test_limit_and_confidence_choose_entries(database: Database, call: Call) -> None:
    text = lines(*(an_entry(n, confidence=n / 10) for n in range(1, 8)))

    result = call(BACKFILL, "--limit", "5", "--min-confidence", "0.3", "--from-jsonl", "-", input=text)

    assert result.out == "Done: 3 inserted, 2 skipped.\n"


def test_the_result_can_be_read_by_programs(sqlite_database: Database, call: Call) -> None:
    result = call(BACKFILL, "--format", "json", "--from-jsonl", "-", input=lines(an_entry(1), {}))

    report = json.loads(result.out)
    assert (result.code, report["inserted"], report["failed"], report["dry_run"]) == (1, 1, 1, False)
    assert report["failures"] == [{"place": "line 2", "why": "it has no pattern_id."}]


def test_csv_is_read_by_its_header(database: Database, call: Call, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, [*an_entry(1), "complexity_score", "metadata"])
        writer.writeheader()
        writer.writerow(an_entry(1, complexity_score=0.5, metadata='{"note": "a, b"}'))
        writer.writerow(an_entry(2, measurement_timestamp="", complexity_score="", metadata=""))

    result = call(BACKFILL, "--from-csv", str(path))

    assert result.out == "Done: 2 inserted.\n"
    metric = PatternQualityMetric.objects.get(pattern_id=uuid.UUID(int=1))
    assert metric.metadata == {"note": "a, b", "complexity_score": 0.5}


@pytest.fixture
def qdrant(tmp_path: Path) -> str:
    client = QdrantClient(path=str(tmp_path / "qdrant"))
    for name in ("code", "docs"):
        client.create_collection(name, vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
        entries = [an_entry(n, quality_score=0.2 if name == "code" else 0.4) for n in range(150)]
        points = [models.PointStruct(id=n, vector=[1.0, float(n)], payload=entry) for n, entry in enumerate(entries)]
        points[0].id = str(uuid.UUID(int=7))
        client.upsert(name, points)
    client.close()
    return str(tmp_path / "qdrant")


def test_two_collections_of_qdrant_never_overwrite_each_other(database: Database, call: Call, qdrant: str) -> None:
    for name in ("code", "docs", "code"):
        result = call(BACKFILL, "--from-qdrant", qdrant, "--collection", name)
        assert result.code == 0, result.err

    assert PatternQualityMetric.objects.count() == 1 + 2 * 149
    assert PatternQualityMetric.objects.filter(pattern_id=uuid.UUID(int=7)).count() == 1


def test_legacy_ids_are_those_of_the_original(sqlite_database: Database, call: Call, qdrant: str) -> None:
    call(BACKFILL, "--legacy-ids", "--from-qdrant", qdrant, "--collection", "code")

    legacy = uuid.uuid5(uuid.NAMESPACE_DNS, "qdrant-pattern-12")
    assert PatternQualityMetric.objects.filter(pattern_id=legacy).exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from-jsonl", "/nowhere/x"], "No such file"),
        (["--from-csv", "-"], "names no column pattern_id"),
        (["--from-qdrant", "/nowhere", "--collection", "x"], "there is no folder"),
        (["--from-qdrant", "http://127.0.0.1:9", "--collection", "x"], "refused"),
        (["--from-qdrant", "."], "needs --collection"),
        (["--from-jsonl", "-"], "Name the collection"),
        (["--from-jsonl", "-", "--database", "other"], "no database 'other'"),
        (["--from-jsonl", "-", "--from-csv", "-"], "not allowed with"),
        (["--from-jsonl", "-", "--limit", "0"], "positive whole number"),
        (["--from-jsonl", "-", "--min-confidence", "2"], "from 0 to 1"),
        ([], "required"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    sqlite_database: Database, call: Call, arguments: list[str], says: str
) -> None:
    result = call(BACKFILL, *arguments, input=lines(an_entry(1, pattern_id="12")))

    assert result.code == 2
    assert says in result.err
    assert "Traceback" not in result.err


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_it_comes_to_the_same(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(lines(*(an_entry(n) for n in range(12_000))))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with database.popen(BACKFILL, "--from-jsonl", str(pipe)) as process, pipe.open("w") as writer:
        writer.write(lines(*(an_entry(n) for n in range(9_000))))  # and then no more, nor an end
        writer.flush()
        eventually(lambda: len(snapshot(database)) == 5_000)
        process.kill()
    again = database.manage(BACKFILL, "--from-jsonl", str(path))

    assert process.returncode == -9
    assert again.stdout == "Done: 7000 inserted, 5000 unchanged.\n"
    assert len(snapshot(database)) == 12_000


@pytest.mark.slow
def test_two_at_once_come_to_the_same(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(lines(*(an_entry(n) for n in range(11_000))))

    with (
        database.popen(BACKFILL, "--format", "json", "--from-jsonl", str(path)) as one,
        database.popen(BACKFILL, "--format", "json", "--from-jsonl", str(path)) as other,
    ):
        reports = [json.loads(process.communicate()[0]) for process in (one, other)]

    assert (one.returncode, other.returncode) == (0, 0)
    assert sum(report["inserted"] for report in reports) == 11_000
    assert sum(report["unchanged"] for report in reports) == 11_000
    assert PatternQualityMetric.objects.count() == 11_000
