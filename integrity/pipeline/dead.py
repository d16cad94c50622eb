"""Dead letters: look at them, and send them again."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from integrity.backends import get_rows
from integrity.backends.sql import compose
from integrity.models import DeadLetter
from integrity.pipeline.process import PATIENCE, enqueue_missing
from integrity.pipeline.states import lock_to_write
from integrity.queue import KeyedQueue, notify
from integrity.signals import pipeline_step

_PER_BATCH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Redriven:
    """What became of dead letters that were to be sent again."""

    sent: int = 0
    superseded: int = 0
    """Their chunk is replaced or has its vector by now: closed."""
    impossible: int = 0
    """They never were a job: they stay open."""


def open_letters(*, queue: KeyedQueue, reason: str | None = None) -> QuerySet[DeadLetter]:
    """Return the open dead letters of a queue, oldest first."""
    letters = DeadLetter.objects.using(queue.using).filter(queue=queue.name, closed_at=None).order_by("pk")
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

    A letter is only as good as its version: where the file has changed since, nothing is sent. Locks some files at
    a time, against change only.
    """
    stop = stop or threading.Event()
    per_batch = _PER_BATCH if rate is None else max(1, min(_PER_BATCH, round(rate)))
    sent = superseded = 0
    letters = open_letters(queue=queue, reason=reason)
    impossible = letters.filter(chunk_id=None).count()
    wanted = list(letters.exclude(chunk_id=None).values_list("pk", flat=True)[:limit])
    for start in range(0, len(wanted), per_batch):
        if start and rate is not None and stop.wait(per_batch / rate):
            break
        batch = wanted[start : start + per_batch]
        counts = _send(batch, queue=queue, dry_run=dry_run)
        sent, superseded = sent + counts.sent, superseded + counts.superseded
    return Redriven(sent=sent, superseded=superseded, impossible=impossible)


def _send(letters: list[int], *, queue: KeyedQueue, dry_run: bool) -> Redriven:
    """Close these letters and enqueue what is still wanted; a dry run does the same and rolls it back."""
    using = queue.using
    rows = DeadLetter.objects.using(using).filter(pk__in=letters, closed_at=None)
    with get_rows(using=using).batch(lock_timeout=PATIENCE):
        chunks = [chunk for chunk in rows.values_list("chunk_id", flat=True) if chunk is not None]
        files = {file for (file,) in _chunks("file_id", chunks, using=using)}
        lock_to_write(files, using=using)
        pipeline_step.send(sender=DeadLetter, using=using, step="letters locked")
        live = {chunk for (chunk,) in _chunks("id", chunks, using=using)}
        sent = rows.filter(chunk_id__in=live).update(closed_at=Now(), resolution="redriven")
        superseded = rows.exclude(chunk_id__in=live).update(closed_at=Now(), resolution="superseded")
        if enqueue_missing(sorted(files), queue=queue, among=sorted(live)):
            notify(queue)
        if dry_run:
            transaction.set_rollback(True, using=using)
    return Redriven(sent=sent, superseded=superseded)


def _chunks(column: Literal["id", "file_id"], chunks: list[UUID], *, using: str) -> list[tuple[UUID]]:
    """A column of those of these chunks that are active."""
    statement = compose("SELECT {column} FROM file_chunks WHERE is_active AND id = ANY(%s::uuid[])", column=column)
    return get_rows(using=using).fetch(statement, (chunks,))
