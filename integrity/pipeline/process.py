"""A file's new version, in one transaction: nobody ever sees half of it, and no job of the old one survives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS
from django.db.models.functions import Now

from integrity.backends import get_rows
from integrity.backends.sql import SQL
from integrity.backends.supported import require_postgresql
from integrity.exceptions import IntegrityAppError
from integrity.models import CourseFile, DeadLetter, FileChunk, FileState
from integrity.models.fields import uuid7
from integrity.pipeline.assumed import assumed_model, take_on
from integrity.pipeline.chunking import Chunker, Paragraphs
from integrity.pipeline.content import InvalidText, content_hash, pieces_of
from integrity.pipeline.jobs import JOB_TYPE, queue_beside
from integrity.pipeline.providers import is_name
from integrity.pipeline.serving import serve_locked, tell_served
from integrity.pipeline.states import lock_to_change
from integrity.queue import KeyedQueue, notify
from integrity.signals import pipeline_step

PATIENCE: Final = timedelta(seconds=30)  # for a lock: a version of 10,000 chunks takes about a second


class UnknownFile(IntegrityAppError):
    """There is no such file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processed:
    """What became of a file. ``unchanged``: it was what it is, and nothing was done."""

    file: UUID
    version: int
    chunks: int = 0
    reused: int = 0
    """Chunks whose vector was copied from an equal chunk of an older version."""
    enqueued: int = 0
    cancelled: int = 0
    """Messages of the older version that were archived."""
    unchanged: bool = False


def process_file(
    *,
    file: UUID,
    text: str | None = None,
    chunks: Sequence[str] | None = None,
    model: str | None = None,
    chunker: Chunker | None = None,
    queue: KeyedQueue | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> Processed:
    """Make ``text``, or ready-made ``chunks``, the file's current version, and enqueue what has no vector yet.

    The older version stays searchable until the new one is complete. Same content, chunker and model, and its chunks
    are there: nothing is done, but to tell ``course_files`` again what it is. Locks the file; takes part in the
    caller's transaction, if one is open.

    Raises:
        InvalidText: both or none of text and chunks are given, or they hold what PostgreSQL cannot store; or no
            provider can have such a model.
        ProviderMisconfigured: no model is given, the settings name no provider, and there are files or vectors of
            another model than the default one's: no worker would do this one.
        QueueElsewhere: the queue is not in the database ``using``.
        UnknownFile: ``course_files`` has no such row.
        UnsupportedDatabase: this is not PostgreSQL.
    """
    require_postgresql(what="The pipeline", using=using)
    chunker = chunker or Paragraphs()
    pieces = pieces_of(text, chunks, chunker=chunker, file=file)
    model = model or assumed_model(using=using)
    if not is_name(model):
        raise InvalidText(
            f"No provider's model is called {model[:50]!r}. Give a name of 1 to 200 printable characters."
        )
    digest = content_hash(pieces, chunker=chunker.name if text is not None else "", model=model)
    queue = queue_beside(queue, using=using)
    with get_rows(using=using).batch(lock_timeout=PATIENCE):
        state = lock_to_change(file, model=model, using=using)
        if state.content_hash == digest and _has_chunks(state, len(pieces), using=using):
            tell_served(state, using=using)
            return Processed(file=file, version=state.current_version, chunks=len(pieces), unchanged=True)
        pipeline_step.send(sender=FileState, using=using, step="file locked")
        return replace_version(state, pieces, model=model, digest=digest, queue=queue)


def delete_file(*, file: UUID, queue: KeyedQueue | None = None, using: str = DEFAULT_DB_ALIAS) -> Processed:
    """Take a file out of search at once: its newest version is empty, its jobs are cancelled, its chunks inactive.

    Retention removes the chunks later. The row in ``course_files`` is the owner's and stays. Locks the file.

    Raises:
        QueueElsewhere: the queue is not in the database ``using``.
        UnknownFile: ``course_files`` has no such row.
    """
    queue = queue_beside(queue, using=using)
    with get_rows(using=using).batch(lock_timeout=PATIENCE):
        state = lock_to_change(file, model="", using=using)
        deleted = replace_version(state, [], model=state.model, digest="", queue=queue)
        CourseFile.objects.using(using).filter(pk=file).update(embedding_status=None, embeddings_generated_at=None)
        return deleted


def cancel_jobs(*, file: UUID, queue: KeyedQueue | None = None, using: str = DEFAULT_DB_ALIAS) -> int:
    """Archive every message about a file, those being worked on included; return how many.

    Its chunks stay active: reconciling would send them again, those that somebody else made for the model that
    the settings name. Use ``delete_file`` to take the file out for good.

    Raises:
        ProviderMisconfigured: the file is not taken on yet, and the settings do not say with which model.
        QueueElsewhere: the queue is not in the database ``using``.
        UnknownFile: there is neither a message about it nor a row in ``course_files``.
    """
    queue = queue_beside(queue, using=using)
    with get_rows(using=using).batch(lock_timeout=PATIENCE):
        take_on([file], using=using)
        state = lock_to_change(file, model="", using=using)
        cancelled = queue.cancel(str(state.file_id), outcome="cancelled")
        if not cancelled:  # a file that is gone may have left some
            _require_file(file, using=using)
        return cancelled


def replace_version(
    state: FileState, pieces: Sequence[str], *, model: str, digest: str, queue: KeyedQueue
) -> Processed:
    """Cancel the file's jobs, retire its chunks and make these the new version; the caller holds the file's lock."""
    using = queue.using
    _require_file(state.file_id, using=using)
    if state.serving_version is None and state.current_version:
        serve_locked([state.file_id], using=using)  # chunks that somebody else made stay searchable as well
    cancelled = queue.cancel(str(state.file_id), outcome="cancelled")
    _close_dead_letters(state.file_id, using=using)
    state.current_version = _next_version(state, using=using)
    state.model, state.content_hash = model, digest
    state.save(using=using, update_fields=["current_version", "model", "content_hash"])
    _retire_chunks(state.file_id, using=using)
    _insert_chunks(state, pieces, using=using)
    pipeline_step.send(sender=FileState, using=using, step="chunks inserted")
    reused = _copy_vectors(state, using=using)
    enqueued = enqueue_missing([state.file_id], queue=queue)
    _mark_processing(state.file_id, using=using)
    serve_locked([state.file_id], using=using)
    if enqueued:
        notify(queue)
    return Processed(
        file=state.file_id,
        version=state.current_version,
        chunks=len(pieces),
        reused=reused,
        enqueued=enqueued,
        cancelled=cancelled,
    )


def enqueue_missing(files: Sequence[UUID], *, queue: KeyedQueue, among: Sequence[UUID] | None = None) -> int:
    """Send a job for every current chunk of locked files that has neither vector, message nor open dead letter.

    ``among`` names the only chunks to look at. A message that a worker is archiving right now is waited for.
    """
    wanted = SQL("""
        SELECT jsonb_build_object('job_type', %s::text, 'file_id', c.file_id, 'chunk_id', c.id, 'version', c.version,
                                  'model', s.model) AS message
        FROM file_chunks AS c
        JOIN integrity_file_state AS s ON s.file_id = c.file_id AND s.current_version = c.version
        WHERE c.file_id = ANY(%s::uuid[]) AND c.is_active AND (c.id = ANY(%s::uuid[])) IS NOT FALSE
          AND NOT EXISTS (SELECT 1 FROM file_embeddings AS e WHERE e.chunk_id = c.id AND e.model_version = s.model)
          AND NOT EXISTS (SELECT 1 FROM integrity_dead_letter AS d WHERE d.chunk_id = c.id AND d.closed_at IS NULL)
        ORDER BY c.file_id, c.chunk_index
    """)
    return len(queue.send_missing(wanted, (JOB_TYPE, list(files), None if among is None else list(among))))


def _require_file(file: UUID, *, using: str) -> None:
    if not get_rows(using=using).fetch(SQL("SELECT 1 FROM course_files WHERE id = %s FOR KEY SHARE"), (file,)):
        raise UnknownFile(f"There is no file {file} in course_files. Insert its row first.")


def _has_chunks(state: FileState, count: int, *, using: str) -> bool:
    """Whether the current version has its chunks still, or somebody removed them behind our back."""
    chunks = FileChunk.objects.using(using).filter(file_id=state.file_id, version=state.current_version)
    return chunks.filter(is_active=True).count() == count


def _next_version(state: FileState, *, using: str) -> int:
    """One above whatever there is, chunks that somebody else has retired included."""
    newest: int = get_rows(using=using).value(
        SQL("SELECT COALESCE(MAX(version), 0) FROM file_chunks WHERE file_id = %s"), (state.file_id,)
    )
    return 1 + max(newest, state.current_version)


def _close_dead_letters(file: UUID, *, using: str) -> None:
    DeadLetter.objects.using(using).filter(file_id=file, closed_at=None).update(
        closed_at=Now(), resolution="superseded"
    )


def _retire_chunks(file: UUID, *, using: str) -> None:
    get_rows(using=using).execute(
        SQL("UPDATE file_chunks SET is_active = FALSE, archived_at = now() WHERE file_id = %s AND is_active"), (file,)
    )


def _insert_chunks(state: FileState, pieces: Sequence[str], *, using: str) -> None:
    get_rows(using=using).execute(
        SQL("""
            INSERT INTO file_chunks (id, file_id, chunk_index, content, content_length, version, is_active, created_at)
            SELECT id, %s, position - 1, content, length(content), %s, TRUE, now()
            FROM unnest(%s::uuid[], %s::text[]) WITH ORDINALITY AS piece (id, content, position)
        """),
        (state.file_id, state.current_version, [uuid7() for _ in pieces], list(pieces)),
    )


def _copy_vectors(state: FileState, *, using: str) -> int:
    """Give the new chunks the vectors of equal older chunks of the file; return how many."""
    return get_rows(using=using).execute(
        SQL("""
            INSERT INTO file_embeddings (id, chunk_id, embedding, model_version, created_at, updated_at)
            SELECT gen_random_uuid(), fresh.id, e.embedding, e.model_version, now(), now()
            FROM file_chunks AS fresh
            JOIN (
                SELECT c.content, (array_agg(e.id))[1] AS embedding_id
                FROM file_chunks AS c JOIN file_embeddings AS e ON e.chunk_id = c.id
                WHERE c.file_id = %s AND c.version < %s AND e.model_version = %s
                GROUP BY c.content
            ) AS known ON known.content = fresh.content
            JOIN file_embeddings AS e ON e.id = known.embedding_id
            WHERE fresh.file_id = %s AND fresh.version = %s
        """),
        (state.file_id, state.current_version, state.model, state.file_id, state.current_version),
    )


def _mark_processing(file: UUID, *, using: str) -> None:
    status = CourseFile.Status.PROCESSING
    CourseFile.objects.using(using).filter(pk=file).update(
        status=status, embedding_status=status, processing_error=None, updated_at=Now()
    )
