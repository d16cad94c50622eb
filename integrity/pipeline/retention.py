"""Remove for good what nobody needs any more: replaced chunks with their vectors, archived messages, closed letters."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import IntegrityError, OperationalError, connections
from django.db.models import QuerySet
from django.db.models.functions import Now

from integrity import conf
from integrity.backends import get_rows
from integrity.backends.sql import SQL, compose
from integrity.backends.supported import require_postgresql
from integrity.models import DeadLetter, FileState
from integrity.queue import KeyedQueue
from integrity.signals import pipeline_step

log = logging.getLogger(__name__)

_MESSAGES_PER_BATCH: Final = 10_000

# A version that is neither current nor served can never be served again: versions only rise. So no lock on the
# file is needed to remove its chunks.
_OLD_CHUNKS: Final = SQL("""
    NOT c.is_active AND c.archived_at <= now() - %s::interval
    AND NOT EXISTS (
        SELECT 1 FROM integrity_file_state AS s
        WHERE s.file_id = c.file_id AND c.version IN (s.serving_version, s.current_version)
    )
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was removed, or would be."""

    chunks: int = 0
    embeddings: int = 0
    messages: int = 0
    letters: int = 0
    blocked: int = 0
    """Files whose old chunks stay for now: something else refers to one of them, or holds its lock."""


def remove_old(
    *,
    queue: KeyedQueue,
    chunks_after: timedelta | None = None,
    messages_after: timedelta | None = None,
    dry_run: bool = False,
) -> Removed:
    """Remove what is older than the settings, or the arguments, say; one short transaction per file.

    Only chunks that are inactive and neither current nor served are removed, embeddings first. What a foreign key
    forbids stays and is counted. Waits for locks as long as ``INTEGRITY_LOCK_TIMEOUT`` says.

    Raises:
        UnsupportedDatabase: this is not PostgreSQL.
    """
    require_postgresql(what="The queue", using=queue.using)
    chunks_after = conf.chunk_retention() if chunks_after is None else chunks_after
    messages_after = conf.archive_retention() if messages_after is None else messages_after
    if dry_run:
        return _count(queue, chunks_after=chunks_after, messages_after=messages_after)
    chunks = embeddings = blocked = 0
    for file in _files(chunks_after, using=queue.using):
        try:
            removed = _remove_chunks(file, chunks_after, using=queue.using)
        except (IntegrityError, OperationalError) as error:
            if not connections[queue.using].is_usable():
                raise
            log.warning("Old chunks of file %s stay: %s", file, error)
            blocked += 1
        else:
            chunks, embeddings = chunks + removed[0], embeddings + removed[1]
    letters, _ = _old_letters(messages_after, using=queue.using).delete()
    messages = _remove_messages(queue, messages_after)
    return Removed(chunks=chunks, embeddings=embeddings, messages=messages, letters=letters, blocked=blocked)


def _files(after: timedelta, *, using: str) -> list[UUID]:
    query = compose("SELECT DISTINCT file_id FROM file_chunks AS c WHERE {old} ORDER BY file_id", old=_OLD_CHUNKS)
    return [file for (file,) in get_rows(using=using).fetch(query, (after,))]


def _remove_chunks(file: UUID, after: timedelta, *, using: str) -> tuple[int, int]:
    """Remove a file's old chunks and their embeddings; return how many of each."""
    rows = get_rows(using=using)
    with rows.batch(lock_timeout=conf.lock_timeout()):
        found = rows.fetch(
            compose(
                "SELECT id FROM file_chunks AS c WHERE file_id = %s AND {old} ORDER BY id FOR UPDATE SKIP LOCKED",
                old=_OLD_CHUNKS,
            ),
            (file, after),
        )
        ids = [chunk for (chunk,) in found]
        embeddings = rows.execute(SQL("DELETE FROM file_embeddings WHERE chunk_id = ANY(%s::uuid[])"), (ids,))
        chunks = rows.execute(SQL("DELETE FROM file_chunks WHERE id = ANY(%s::uuid[])"), (ids,))
        rows.check_constraints_now()
        pipeline_step.send(sender=FileState, using=using, step="chunks removed")
    return chunks, embeddings


def _remove_messages(queue: KeyedQueue, after: timedelta) -> int:
    removed = 0
    statement = compose(
        """
        DELETE FROM {archived} WHERE msg_id = ANY(ARRAY(
            SELECT msg_id FROM {archived} WHERE archived_at <= now() - %s::interval
            ORDER BY archived_at LIMIT %s FOR UPDATE SKIP LOCKED
        ))
        """,
        archived=queue.archived,
    )
    while gone := queue.rows.execute(statement, (after, _MESSAGES_PER_BATCH)):
        removed += gone
    return removed


def _old_letters(after: timedelta, *, using: str) -> QuerySet[DeadLetter]:
    return DeadLetter.objects.using(using).filter(closed_at__lte=Now() - after)


def _count(queue: KeyedQueue, *, chunks_after: timedelta, messages_after: timedelta) -> Removed:
    rows = get_rows(using=queue.using)
    chunks, embeddings = rows.fetch(
        compose(
            """
            SELECT COUNT(DISTINCT c.id), COUNT(e.id)
            FROM file_chunks AS c LEFT JOIN file_embeddings AS e ON e.chunk_id = c.id WHERE {old}
            """,
            old=_OLD_CHUNKS,
        ),
        (chunks_after,),
    )[0]
    messages = rows.value(
        compose("SELECT COUNT(*) FROM {archived} WHERE archived_at <= now() - %s::interval", archived=queue.archived),
        (messages_after,),
    )
    letters = _old_letters(messages_after, using=queue.using).count()
    return Removed(chunks=chunks, embeddings=embeddings, messages=messages, letters=letters)
