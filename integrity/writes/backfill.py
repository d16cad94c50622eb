"""Bring scores from a source to the table: twice, killed in between or two at once, it comes to the same."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction

from integrity.backends import get_rows
from integrity.backends.fault import words
from integrity.exceptions import IntegrityAppError
from integrity.writes.patterns import DIMENSIONS, QualityScore, quality_metric_chunks
from integrity.writes.results import UpsertResult
from integrity.writes.sources import Record

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "pattern-quality-metrics.integrity")
"""Of the ids that are made of a collection's name and an id there. It never changes."""


class NoCollection(IntegrityAppError):
    """An id is no UUID, and no collection is named that it could be made unique with."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An entry that was not stored, its place in the source, and why."""

    place: str
    why: str


@dataclass(kw_only=True)
class BackfillReport:
    """What became of the entries of a source."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def add(self, outcome: str, count: int = 1) -> None:
        """Count an outcome."""
        self.counts[outcome] = self.counts.get(outcome, 0) + count


def backfill_quality(
    *,
    records: Iterable[Record],
    collection: str | None = None,
    legacy_ids: bool = False,
    limit: int | None = None,
    min_confidence: float = 0.0,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> BackfillReport:
    """Store the scores of a source; entries that cannot be stored are reported, and stop nothing.

    Args:
        records: entries with ``quality_score`` and ``confidence``; optionally ``measurement_timestamp`` (ISO 8601,
            with a time zone), ``version``, ``metadata``, and the five dimensions, there or beside it.
        collection: what ids that are no UUIDs are made unique with.
        legacy_ids: make ids of them as the original did, without the collection.
        limit: read so many entries at most.
        min_confidence: skip entries below it.
        dry_run: do all of it in one transaction, and roll that back.
        progress: called with the number of entries dealt with.

    Raises:
        NoCollection: an id is no UUID, and there is no collection.
        IntegrityAppError: the source or the database fails as a whole; what was committed stays.
    """
    report = BackfillReport()
    places: list[str] = []
    scores = _scores(
        islice(records, limit), report, places, _Ids(collection=collection, legacy=legacy_ids), min_confidence
    )
    if not dry_run:
        _store(scores, report, places, progress, using)
        return report
    with get_rows(using=using).writing(), transaction.atomic(using=using):
        _store(scores, report, places, progress, using)
        transaction.set_rollback(True, using=using)
    return report


def pattern_id(value: Any, *, collection: str | None, legacy: bool = False) -> uuid.UUID:
    """Return the pattern's UUID: the id itself, or one that is made of the collection and the id.

    Raises:
        NoCollection: the id is no UUID, and there is no collection.
        ValueError: there is no id.
        TypeError: it is neither a UUID nor a text nor a whole number.
    """
    if value is None or value == "":
        raise ValueError("it has no pattern_id.")
    if isinstance(value, uuid.UUID):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"pattern_id is {value!r:.100}: give a UUID, a text or a whole number.")
    if isinstance(value, str):
        try:
            return uuid.UUID(value)
        except ValueError:
            pass
    if legacy:
        return uuid.uuid5(uuid.NAMESPACE_DNS, f"qdrant-pattern-{value}")
    if collection is None:
        raise NoCollection(f"The id {value!r} is no UUID. Name the collection it belongs to with --collection.")
    return uuid.uuid5(NAMESPACE, json.dumps([collection, str(value)]))


@dataclass(frozen=True, kw_only=True)
class _Ids:
    collection: str | None
    legacy: bool

    def of(self, value: Any) -> uuid.UUID:
        return pattern_id(value, collection=self.collection, legacy=self.legacy)


def _store(
    scores: Iterator[QualityScore],
    report: BackfillReport,
    places: list[str],
    progress: Callable[[int], None] | None,
    using: str,
) -> None:
    for result in quality_metric_chunks(scores=scores, on_error="isolate", using=using):
        _note(result, report, places)
        if progress is not None:
            progress(sum(report.counts.values()))


def _note(result: UpsertResult, report: BackfillReport, places: list[str]) -> None:
    for outcome, count in result.counts.items():
        if count:
            report.add(outcome, count)
    for one in result.failed:
        report.failures.append(Failure(place=places[one.position], why=words(one.error)))


def _scores(
    records: Iterable[Record], report: BackfillReport, places: list[str], ids: _Ids, min_confidence: float
) -> Iterator[QualityScore]:
    """Yield the scores of the entries that are some; ``places`` tells where each came from."""
    for record in records:
        try:
            score = _score(record, ids)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            report.add("failed")
            report.failures.append(Failure(place=record.place, why=str(error)))
            continue
        if score.confidence < min_confidence:
            report.add("skipped")
            continue
        places.append(record.place)
        yield score


def _score(record: Record, ids: _Ids) -> QualityScore:
    if record.fields is None:
        raise ValueError(record.error)
    fields = record.fields
    return QualityScore(
        pattern_id=ids.of(record.id),
        quality_score=_number(fields, "quality_score"),
        confidence=_number(fields, "confidence"),
        measurement_timestamp=_moment(fields),
        version=str(fields.get("version") or "1.0.0"),
        metadata=_metadata(fields),
    )


def _moment(fields: Mapping[str, Any]) -> datetime | None:
    value = fields.get("measurement_timestamp")
    if value is None or value == "":
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"measurement_timestamp is {value!r:.100}: write it as ISO 8601 with a time zone, 2026-01-31T12:00:00Z."
        ) from None


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name)
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number):
        raise ValueError(f"{name} is {value!r:.100}, which is no number from 0 to 1.")
    return number


def _metadata(fields: Mapping[str, Any]) -> dict[str, Any]:
    metadata = fields.get("metadata") or {}
    if isinstance(metadata, str):
        metadata = json.loads(metadata)
    if not isinstance(metadata, Mapping):
        raise TypeError("metadata is no object.")
    beside = {name: _number(fields, name) for name in DIMENSIONS if name in fields}
    return {**metadata, **beside}
