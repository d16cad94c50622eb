"""Which version of a file is searched: the newest complete one.

The change is a short transaction of its own. Inside a worker's commit, which holds the file FOR SHARE, it would
have to upgrade that lock: two workers that finish one file together would deadlock.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db.models.functions import Now

from integrity.backends import get_rows
from integrity.backends.sql import SQL, compose
from integrity.models import CourseFile, FileState
from integrity.queue import KeyedQueue
from integrity.signals import pipeline_step

PATIENCE: Final = timedelta(seconds=5)


# OFFSET 0 keeps the planner from joining all chunks of all files for the few that are asked for.
_IS_COMPLETE: Final = SQL("""
    NOT EXISTS (
        SELECT 1 FROM file_chunks AS c
        WHERE c.file_id = s.file_id AND c.version = s.current_version AND c.is_active
          AND NOT EXISTS (
              SELECT 1 FROM file_embeddings AS e WHERE e.chunk_id = c.id AND e.model_version = s.model OFFSET 0
          )
        OFFSET 0
    )
""")


def serve_finished(files: Collection[UUID], *, queue: KeyedQueue) -> list[UUID]:
    """Serve the current version of those of these files that have no message left and are complete.

    Waits for no file that somebody holds: ``serve_overdue`` comes to it. Locks the others, and their rows in the
    owner's table.
    """
    return _serve(_without_messages(files, queue=queue), using=queue.using)


def serve_overdue(*, limit: int, queue: KeyedQueue) -> list[UUID]:
    """Serve up to ``limit`` complete files that no worker has served; mark those as failed that wait for nobody.

    Locks as ``serve_finished`` does.
    """
    return _serve(_overdue(limit=limit, queue=queue), using=queue.using)


def _serve(files: Collection[UUID], *, using: str) -> list[UUID]:
    if not files:
        return []
    with get_rows(using=using).batch(lock_timeout=PATIENCE):
        held = _hold(files, using=using)
        pipeline_step.send(sender=FileState, using=using, step="version locked")
        return serve_locked(held, using=using)


def _hold(files: Collection[UUID], *, using: str) -> list[UUID]:
    """Lock those of these files that nobody else holds, neither here nor in the owner's table."""
    held = get_rows(using=using).fetch(
        SQL("""
            WITH free AS MATERIALIZED (
                SELECT file_id FROM integrity_file_state WHERE file_id = ANY(%s::uuid[])
                ORDER BY file_id FOR NO KEY UPDATE SKIP LOCKED
            ), told AS MATERIALIZED (
                SELECT id FROM course_files WHERE id IN (SELECT file_id FROM free)
                ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
            )
            SELECT file_id FROM free
            WHERE file_id IN (SELECT id FROM told)
               OR NOT EXISTS (SELECT 1 FROM course_files AS f WHERE f.id = free.file_id)
        """),
        (list(files),),
    )
    return [file for (file,) in held]


def serve_locked(files: Collection[UUID], *, using: str) -> list[UUID]:
    """Serve the current versions that are complete, and tell the owner's table; the caller holds the files' locks.

    A file that waits for nothing but dead letters is marked as failed.
    """
    rows = get_rows(using=using)
    complete = [
        file
        for (file,) in rows.fetch(
            compose(
                """
                UPDATE integrity_file_state AS s SET serving_version = current_version, updated_at = now()
                WHERE file_id = ANY(%s::uuid[]) AND current_version > 0
                  AND serving_version IS DISTINCT FROM current_version AND {is_complete}
                RETURNING file_id
                """,
                is_complete=_IS_COMPLETE,
            ),
            (list(files),),
        )
    ]
    _mark_completed(complete, using=using)
    _mark_failed([file for file in files if file not in complete], using=using)
    return complete


def tell_served(state: FileState, *, using: str) -> None:
    """Tell the owner's table that a file is served, where it says something else; the caller holds the file's lock."""
    if state.serving_version == state.current_version:
        done = CourseFile.Status.COMPLETED
        others = CourseFile.objects.using(using).filter(pk=state.file_id).exclude(status=done, embedding_status=done)
        _mark_completed(list(others.values_list("pk", flat=True)), using=using)


def _overdue(*, limit: int, queue: KeyedQueue) -> list[UUID]:
    """Files to be served, and files to be marked as failed. Whatever else waits must not stand in their way."""
    found = get_rows(using=queue.using).fetch(
        compose(
            """
            SELECT s.file_id FROM integrity_file_state AS s LEFT JOIN course_files AS f ON f.id = s.file_id
            WHERE s.serving_version IS DISTINCT FROM s.current_version AND s.current_version > 0
              AND ({is_complete} OR (
                  f.embedding_status IS DISTINCT FROM 'failed'
                  AND EXISTS (SELECT 1 FROM integrity_dead_letter AS d WHERE d.file_id = f.id AND d.closed_at IS NULL)
                  AND NOT EXISTS (SELECT 1 FROM {table} AS q WHERE (q.message->>'file_id') = f.id::text)
              ))
            ORDER BY s.updated_at LIMIT %s
            """,
            is_complete=_IS_COMPLETE,
            table=queue.table,
        ),
        (limit,),
    )
    return [file for (file,) in found]


def _without_messages(files: Collection[UUID], *, queue: KeyedQueue) -> list[UUID]:
    found = get_rows(using=queue.using).fetch(
        compose(
            """
            SELECT file_id FROM unnest(%s::uuid[]) AS wanted (file_id)
            WHERE NOT EXISTS (SELECT 1 FROM {table} AS q WHERE (q.message->>'file_id') = wanted.file_id::text)
            """,
            table=queue.table,
        ),
        (list(files),),
    )
    return [file for (file,) in found]


def _mark_completed(files: Collection[UUID], *, using: str) -> None:
    if files:
        status = CourseFile.Status.COMPLETED
        CourseFile.objects.using(using).filter(pk__in=files).update(
            status=status,
            embedding_status=status,
            embeddings_generated_at=Now(),
            processing_error=None,
            updated_at=Now(),
        )


def _mark_failed(files: Collection[UUID], *, using: str) -> None:
    if files:
        get_rows(using=using).execute(
            SQL("""
                UPDATE course_files AS f
                SET status = 'failed', embedding_status = 'failed', updated_at = now(), processing_error = d.said
                FROM (
                    SELECT file_id, count(*) || ' chunks could not be embedded: ' || min(reason) AS said
                    FROM integrity_dead_letter WHERE closed_at IS NULL AND file_id = ANY(%s::uuid[]) GROUP BY file_id
                ) AS d
                WHERE f.id = d.file_id AND f.embedding_status IS DISTINCT FROM 'failed'
            """),
            (sorted(files),),
        )
