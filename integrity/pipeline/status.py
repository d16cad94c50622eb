"""How the queue and its workers are doing, by indexes and estimates only: cheap enough for a scrape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Count, Exists, F, OuterRef

from integrity.backends.sql import compose
from integrity.models import CircuitBreaker, CourseFile, FileChunk, FileState
from integrity.pipeline.dead import open_letters
from integrity.queue import KeyedQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One queue at one moment."""

    queue: str
    ready: int
    """Messages that can be read now."""
    hidden: int
    """Messages being worked on, or waiting after a failure."""
    oldest: timedelta | None
    """Age of the oldest message."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Messages archived within the last hour, by outcome."""
    dead: Mapping[str, int] = field(default_factory=dict)
    """Open dead letters, by reason."""
    waiting_files: int = 0
    """Files whose newest version is not served yet, those whose chunks nobody has taken on yet included."""
    breakers: Mapping[str, str] = field(default_factory=dict)
    """Circuit breakers that are not closed, with their reason."""


def measure(*, queue: KeyedQueue) -> Status:
    """Look at a queue. Counts messages, which takes about 0.1 s per million.

    Raises:
        QueueMissing: there is no such queue.
        UnsupportedDatabase: this is not PostgreSQL.
    """
    queue.require()
    rows = queue.rows
    ready, hidden, oldest = rows.fetch(
        compose(
            """
            SELECT COUNT(*) FILTER (WHERE vt <= clock_timestamp()), COUNT(*) FILTER (WHERE vt > clock_timestamp()),
                   clock_timestamp() - MIN(enqueued_at)
            FROM {table}
            """,
            table=queue.table,
        )
    )[0]
    outcomes = rows.fetch(
        compose(
            """
            SELECT COALESCE(headers->>'outcome', 'archived by others'), COUNT(*) FROM {archived}
            WHERE archived_at > now() - interval '1 hour' GROUP BY 1 ORDER BY 1
            """,
            archived=queue.archived,
        )
    )
    versions = FileState.objects.using(queue.using).filter(current_version__gt=0)
    waiting = versions.exclude(serving_version=F("current_version")).count()
    dead = open_letters(queue=queue).order_by().values_list("reason").annotate(Count("pk")).order_by("reason")
    breakers = CircuitBreaker.objects.using(queue.using).exclude(state=CircuitBreaker.State.CLOSED)
    return Status(
        queue=queue.name,
        ready=ready,
        hidden=hidden,
        oldest=oldest,
        outcomes=dict(outcomes),
        dead=dict(dead),
        waiting_files=waiting + _not_taken_on(using=queue.using),
        breakers={breaker.name: f"{breaker.state}: {breaker.reason}" for breaker in breakers},
    )


def _not_taken_on(*, using: str) -> int:
    """Count the files with chunks of somebody else's that no worker has seen, so that no version is served."""
    known = FileState.objects.using(using).filter(file_id=OuterRef("pk"))
    chunks = FileChunk.objects.using(using).filter(file_id=OuterRef("pk"), is_active=True)
    return CourseFile.objects.using(using).filter(~Exists(known), Exists(chunks)).count()
