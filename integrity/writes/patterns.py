"""Store quality metrics: one for each pattern, the newest measurement, whoever writes late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone

from integrity import conf
from integrity.backends import get_catalogue, get_rows
from integrity.models import PatternQualityMetric
from integrity.writes.asynchronous import asynchronous
from integrity.writes.history import measurements, remember, replacing
from integrity.writes.results import UpsertResult
from integrity.writes.retry import retried
from integrity.writes.upsert import OnError, upsert
from integrity.writes.values import Row

DIMENSIONS = (
    "completeness_score",
    "documentation_score",
    "onex_compliance_score",
    "metadata_richness_score",
    "complexity_score",
)
"""What a score's metadata may hold, each between 0 and 1."""

CHUNK = 5000


@dataclass(frozen=True, kw_only=True)
class QualityScore:
    """One measurement of one pattern. How it was scored is the caller's business.

    ``measurement_timestamp`` None means that nobody knows when: such a score is stored where the pattern has none,
    and never replaces another.
    """

    pattern_id: UUID
    quality_score: float
    confidence: float
    measurement_timestamp: datetime | None
    version: str | None = "1.0.0"
    metadata: Mapping[str, Any] = field(default_factory=dict)


def store_quality_metrics(
    *, scores: Iterable[QualityScore], on_error: OnError = "raise", using: str = DEFAULT_DB_ALIAS
) -> UpsertResult:
    """Store scores; a newer measurement wins, an older one is ``stale``, ``updated_at`` follows.

    With ``INTEGRITY_KEEP_METRIC_HISTORY`` each measurement that is given, and each one that is replaced, is also kept
    in ``PatternMetricHistory``, in the same transaction. Streams in chunks of 5,000, each its own transaction.

    Raises:
        RowRejected: a score is not between 0 and 1, or a moment has no time zone; it names the pattern.
        IntegrityAppError: as ``upsert``.
    """
    return UpsertResult.sum(list(quality_metric_chunks(scores=scores, on_error=on_error, using=using)))


def quality_metric_chunks(
    *, scores: Iterable[QualityScore], on_error: OnError = "raise", using: str = DEFAULT_DB_ALIAS
) -> Iterator[UpsertResult]:
    """Do the same, and yield each chunk's result once it is written.

    Raises:
        IntegrityAppError: as ``store_quality_metrics``.
    """
    numbered = enumerate(scores)
    while chunk := list(islice(numbered, CHUNK)):
        yield retried(lambda chunk=chunk: _store(chunk, on_error=on_error, using=using), using=using)  # type: ignore[misc]


def _store(chunk: Sequence[tuple[int, QualityScore]], *, on_error: OnError, using: str) -> UpsertResult:
    dated = [(n, score) for n, score in chunk if score.measurement_timestamp is not None]
    undated = [(n, score) for n, score in chunk if score.measurement_timestamp is None]
    write_dated = partial(_upsert, dated, on_error=on_error, using=using, newer_wins="measurement_timestamp")
    write_undated = partial(_upsert, undated, on_error=on_error, using=using, update=())
    with get_rows(using=using).writing(), transaction.atomic(using=using):
        if not conf.keep_metric_history():
            return UpsertResult.sum([write_dated(), write_undated()])
        result, replaced = replacing(write_dated, patterns=[score.pattern_id for _, score in dated], using=using)
        results = [result, write_undated()]
        filled = measurements([score.pattern_id for _, score in undated], using=using)
        failed = {one.position for one in result.failed}
        # Of equal moments the table keeps what it had, else the first one; the history the first one it is given.
        given = [vars(score) for n, score in dated if n not in failed]
        remember([*filled.values(), *replaced.values(), *given], using=using)
    return UpsertResult.sum(results)


def _upsert(part: Sequence[tuple[int, QualityScore]], *, on_error: OnError, using: str, **options: Any) -> UpsertResult:
    """Write scores that are alike and give failures their place in the whole input."""
    has_updated_at = any(
        column.name == "updated_at"
        for column in get_catalogue(using=using).columns(PatternQualityMetric._meta.db_table)
    )
    result = upsert(
        model=PatternQualityMetric,
        rows=(_row(score) for _, score in part),
        constraint="pattern_quality_metrics_pattern_id_unique",
        touch={"updated_at": timezone.now()} if has_updated_at else {},
        check=_require_scores,
        on_error=on_error,
        using=using,
        **options,
    )
    return replace(result, failed=tuple(replace(one, position=part[one.position][0]) for one in result.failed))


def _row(score: QualityScore) -> Row:
    known = vars(score)
    return known if score.measurement_timestamp else {k: v for k, v in known.items() if k != "measurement_timestamp"}


def _require_scores(row: Row) -> None:
    """Refuse what is no score, in the columns and in the metadata, and what is no moment for all to read."""
    scores = {name: row[name] for name in ("quality_score", "confidence")}
    scores |= {name: row["metadata"][name] for name in DIMENSIONS if name in row["metadata"]}
    for name, value in scores.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"{name} is {value!r}, which is no number from 0 to 1.")
    moment = row.get("measurement_timestamp")
    if moment is not None and timezone.is_naive(moment):
        raise ValueError(f"measurement_timestamp {moment} has no time zone: it cannot be told which is newer.")
    if moment is not None:
        _require_readable(moment)


def _require_readable(moment: datetime) -> None:
    """Refuse a moment that PostgreSQL would store and Python never read again."""
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"measurement_timestamp {moment} is, in UTC, outside of the years 1 to 9999.") from None


astore_quality_metrics = asynchronous(store_quality_metrics)
