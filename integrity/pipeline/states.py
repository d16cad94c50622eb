"""The lock on a file, and the version that it guards.

# Note [Lock order]

Everything in the pipeline that locks more than one thing does it in this order: file states by id, then messages
by ``msg_id``, then chunks and embeddings. A change of a file takes FOR NO KEY UPDATE on its state, a writer of its
embeddings FOR SHARE: any number of workers write to one file at once, and none while it changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from integrity.backends import get_rows
from integrity.backends.sql import SQL, array, compose
from integrity.backends.supported import require_postgresql
from integrity.models import FileState

_ADOPT: Final = SQL("""
    INSERT INTO integrity_file_state (file_id, current_version, model, content_hash)
    SELECT c.file_id, COALESCE(MAX(c.version) FILTER (WHERE c.is_active), MAX(c.version) + 1),
           COALESCE(MAX(e.model_version), %s), ''
    FROM file_chunks AS c LEFT JOIN file_embeddings AS e ON e.chunk_id = c.id
    WHERE c.file_id = ANY(%s::uuid[]) GROUP BY c.file_id
    ON CONFLICT DO NOTHING
""")


def adopt(files: Collection[UUID], *, model: str, using: str) -> None:
    """Give files whose chunks somebody else made a state: the newest version with an active chunk is the current one.

    Without an active chunk it is the next version, which is empty. ``model`` is assumed where no vector tells it.
    """
    get_rows(using=using).execute(_ADOPT, (model, list(files)))


def lock_to_change(file: UUID, *, model: str, using: str) -> FileState:
    """Lock a file against every other change and every writer of its embeddings; make its state where it has none.

    Raises:
        UnsupportedDatabase: this is not PostgreSQL.
    """
    require_postgresql(what="The pipeline", using=using)
    adopt([file], model=model, using=using)
    FileState.objects.using(using).bulk_create([FileState(file_id=file, model=model)], ignore_conflicts=True)
    return FileState.objects.using(using).select_for_update(no_key=True).get(file_id=file)


def lock_to_write(files: Collection[UUID], *, wait: bool = True, using: str) -> dict[UUID, int]:
    """Lock files, in order of their ids, against change; return the current version of each that has a state.

    Without ``wait``, files that somebody is changing are neither locked nor returned.
    """
    return dict(
        get_rows(using=using).fetch(
            compose(
                """
                SELECT file_id, current_version FROM integrity_file_state
                WHERE file_id = ANY(%s::uuid[]) ORDER BY file_id FOR SHARE {passing}
                """,
                passing=SQL("" if wait else "SKIP LOCKED"),
            ),
            (list(files),),
        )
    )


def lock_chunks_to_write(chunks: Mapping[UUID, UUID], *, using: str) -> set[UUID]:
    """Lock the files of chunks (chunk to file) like ``lock_to_write``; return those that are active and current."""
    found = get_rows(using=using).fetch(
        SQL("""
            WITH locked AS MATERIALIZED (
                SELECT file_id, current_version FROM integrity_file_state
                WHERE file_id = ANY(%s::uuid[]) ORDER BY file_id FOR SHARE
            )
            SELECT c.id FROM file_chunks AS c
            JOIN locked ON locked.file_id = c.file_id AND locked.current_version = c.version
            WHERE c.id = ANY(%s::uuid[]) AND c.is_active
        """),
        (array(set(chunks.values())), array(chunks)),
    )
    return {chunk for (chunk,) in found}
