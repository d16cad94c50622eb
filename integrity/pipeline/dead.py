"""Dead letters: look at them, and send them again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from integrity.backends import get_rows
from integrity.backends.sql import SQL, array
from integrity.models import DeadLetter
from integrity.pipeline.assumed import take_on
from integrity.pipeline.process import PATIENCE, enqueue_missing
from integrity.pipeline.states import lock_to_write
from integrity.queue import KeyedQueue, notify
from integrity.signals import pipeline_step

_PER_BATCH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Redriven:
    """What became of dead letters that were to be sent again."""

    sent: int = 0
    """Jobs, one for each chunk; a chunk whose job is waiting already gets none."""
    superseded: int = 0
    """Letters whose chunk is replaced or has its vector by now: closed."""
    impossible: int = 0
    """They never were a job: they stay open."""


def open_letters(*, queue: KeyedQueue, reason: str | None = None) -> QuerySet[DeadLetter]:
    """Return the open dead letters of a queue, oldest first; PGMQ does not tell its name's case."""
    letters = DeadLetter.objects.using(queue.using).filter(queue__iexact=queue.name, closed_at=None).order_by("pk")
    return letters.filter(reason=reason) if reason else letters


def redrive(
    *,
    queue: KeyedQueue,
    reason: str | None = None,
    limit: int | None = None,
    rate: float | None = None,
    dry_run: bool = False,
    stop: threading.Event | None = None,
) -> Redriven:
    """Send the chunks of dead letters again, at most ``rate`` a second; each letter is closed with its resolution.

    A letter is only as good as its version: where the file has changed since, nothing is sent. All letters of a chunk
    are closed together. Locks some files at a time, against change only.

    Raises:
        ProviderMisconfigured: a letter's file is not taken on yet, and the settings do not say with which model.
        QueueMissing: there is no such queue.
        UnsupportedDatabase: this is not PostgreSQL.
    """
    queue.require()
    stop = stop or threading.Event()
    per_batch = _PER_BATCH if rate is None else max(1, min(_PER_BATCH, round(rate)))
    sent = superseded = 0
    letters = open_letters(queue=queue, reason=reason)
    impossible = letters.filter(chunk_id=None).count()
    wanted = list(letters.exclude(chunk_id=None).values_list("pk", flat=True))[:limit]
    for start in range(0, len(wanted), per_batch):
        if start and rate is not None and not dry_run and stop.wait(per_batch / rate):
            break
        batch = wanted[start : start + per_batch]
        counts = _send(batch, queue=queue, dry_run=dry_run)
        sent, superseded = sent + counts.sent, superseded + counts.superseded
    return Redriven(sent=sent, superseded=superseded, impossible=impossible)


def _send(letters: list[int], *, queue: KeyedQueue, dry_run: bool) -> Redriven:
    """Close these letters and enqueue what is still wanted; a dry run does the same and rolls it back."""
    using = queue.using
    chosen = DeadLetter.objects.using(using).filter(pk__in=letters, closed_at=None)
    with get_rows(using=using).batch(lock_timeout=PATIENCE):
        chunks = [chunk for chunk in chosen.values_list("chunk_id", flat=True) if chunk is not None]
        files = _files(chunks, using=using)
        take_on(files, using=using)  # else nobody knew the version that the letters are of
        lock_to_write(files, using=using)
        pipeline_step.send(sender=DeadLetter, using=using, step="letters locked")
        wanted = _without_vector(chunks, using=using)
        # Whatever else is open about these chunks would keep their jobs from being sent.
        still_open = DeadLetter.objects.using(using).filter(chunk_id__in=chunks, closed_at=None)
        still_open.filter(chunk_id__in=wanted).update(closed_at=Now(), resolution="redriven")
        superseded = still_open.update(closed_at=Now(), resolution="superseded")
        sent = enqueue_missing(files, queue=queue, among=wanted)
        if sent:
            notify(queue)
        if dry_run:
            transaction.set_rollback(True, using=using)
    return Redriven(sent=sent, superseded=superseded)


def _files(chunks: Sequence[UUID], *, using: str) -> list[UUID]:
    found = get_rows(using=using).fetch(
        SQL("SELECT DISTINCT file_id FROM file_chunks WHERE is_active AND id = ANY(%s::uuid[]) ORDER BY 1"),
        (array(chunks),),
    )
    return [file for (file,) in found]


def _without_vector(chunks: Sequence[UUID], *, using: str) -> list[UUID]:
    """Those of these chunks that are active and have no vector of their file's model."""
    found = get_rows(using=using).fetch(
        SQL("""
            SELECT c.id FROM file_chunks AS c JOIN integrity_file_state AS s ON s.file_id = c.file_id
            WHERE c.is_active AND c.version = s.current_version AND c.id = ANY(%s::uuid[])
              AND NOT EXISTS (SELECT 1 FROM file_embeddings AS e WHERE e.chunk_id = c.id AND e.model_version = s.model)
        """),
        (array(chunks),),
    )
    return [chunk for (chunk,) in found]
