"""Enqueue what should be embedded and is not on its way: whatever was lost, and however."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from uuid import UUID

from integrity.backends import get_rows
from integrity.backends.sql import SQL, compose
from integrity.backends.supported import require_postgresql
from integrity.models import FileState
from integrity.pipeline.assumed import assumed_model
from integrity.pipeline.process import enqueue_missing
from integrity.pipeline.states import adopt, lock_to_write
from integrity.queue import KeyedQueue, count_on, notify
from integrity.signals import pipeline_step

log = logging.getLogger(__name__)

FILES_PER_BATCH: Final = 200
PATIENCE: Final = timedelta(seconds=5)


def reconcile(*, queue: KeyedQueue, model: str | None = None) -> int:
    """Enqueue every live chunk that has neither vector, message nor open dead letter; return how many.

    A queue that has begun to count anew counts on from its archive. Chunks that somebody else made are taken on with
    ``model``, by default that of the provider that the settings name. Locks some files at a time, against change only,
    and passes over those that somebody is changing.

    Raises:
        ProviderMisconfigured: there are such chunks, no model is given, and the settings do not say which.
        UnsupportedDatabase: this is not PostgreSQL.
    """
    require_postgresql(what="The queue", using=queue.using)
    if renumbered := count_on(queue):
        log.warning("Queue %s had begun to count anew: %d messages got new numbers", queue.name, renumbered)
    sent = 0
    if unknown := _unknown_files(using=queue.using):
        model = model or assumed_model(using=queue.using)
        for files in _batches(unknown):
            adopt(files, model=model, using=queue.using)
    for files in _batches(files_with_gaps(queue=queue)):
        with get_rows(using=queue.using).batch(lock_timeout=PATIENCE):
            free = lock_to_write(files, wait=False, using=queue.using)
            pipeline_step.send(sender=FileState, using=queue.using, step="gaps locked")
            sent += enqueue_missing(list(free), queue=queue)
    if sent:
        notify(queue)
    return sent


def files_with_gaps(*, queue: KeyedQueue) -> list[UUID]:
    """Return the files with a current chunk that has neither vector, message nor open dead letter. Locks nothing."""
    found = get_rows(using=queue.using).fetch(
        compose(
            """
            SELECT DISTINCT c.file_id FROM file_chunks AS c
            JOIN integrity_file_state AS s ON s.file_id = c.file_id AND s.current_version = c.version
            WHERE c.is_active
              AND NOT EXISTS (SELECT 1 FROM file_embeddings AS e WHERE e.chunk_id = c.id AND e.model_version = s.model)
              AND NOT EXISTS (
                  SELECT 1 FROM {table} AS q
                  WHERE (q.message->>'file_id') = c.file_id::text AND (q.message->>'chunk_id') = c.id::text
              )
              AND NOT EXISTS (SELECT 1 FROM integrity_dead_letter AS d WHERE d.chunk_id = c.id AND d.closed_at IS NULL)
            """,
            table=queue.table,
        )
    )
    return sorted(file for (file,) in found)


def _unknown_files(*, using: str) -> list[UUID]:
    found = get_rows(using=using).fetch(
        SQL("""
            SELECT DISTINCT c.file_id FROM file_chunks AS c
            WHERE c.is_active AND NOT EXISTS (SELECT 1 FROM integrity_file_state AS s WHERE s.file_id = c.file_id)
        """)
    )
    return sorted(file for (file,) in found)


def _batches(files: list[UUID]) -> Iterator[list[UUID]]:
    for start in range(0, len(files), FILES_PER_BATCH):
        yield files[start : start + FILES_PER_BATCH]
