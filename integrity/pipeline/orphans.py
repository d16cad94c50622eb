"""Messages whose chunk is gone or replaced: nothing good can come of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from integrity.backends import get_rows
from integrity.backends.sql import SQL, compose
from integrity.queue import KeyedQueue

_UUID: Final = "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$"
_PER_BATCH: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A message that names a chunk which is ``missing`` or ``inactive``."""

    msg_id: int
    chunk_id: UUID
    kind: str
    read_ct: int


def find_orphans(*, queue: KeyedQueue, limit: int) -> list[Orphan]:
    """Return the first ``limit`` orphans, by ``msg_id``."""
    found = get_rows(using=queue.using).fetch(
        compose("SELECT * FROM ({orphans}) AS o ORDER BY msg_id LIMIT %s", orphans=_orphans(queue)), (_UUID, limit)
    )
    return [Orphan(msg_id=m, chunk_id=c, kind=kind, read_ct=ct) for m, c, kind, ct in found]


def count_orphans(*, queue: KeyedQueue) -> dict[str, int]:
    """Count orphans by kind."""
    return dict(
        get_rows(using=queue.using).fetch(
            compose("SELECT kind, COUNT(*) FROM ({orphans}) AS o GROUP BY kind ORDER BY kind", orphans=_orphans(queue)),
            (_UUID,),
        )
    )


def purge_orphans(*, queue: KeyedQueue) -> int:
    """Archive all orphans with their outcome, those being worked on included; return how many.

    A worker that holds one finds its lease gone. Messages that somebody is changing right now are passed over, so
    that no lock is waited for.
    """
    chosen = compose(
        """
        SELECT q.msg_id, CASE o.kind WHEN 'missing' THEN 'orphaned' ELSE 'superseded' END
        FROM {table} AS q JOIN ({orphans}) AS o USING (msg_id)
        ORDER BY q.msg_id LIMIT %s FOR UPDATE OF q SKIP LOCKED
        """,
        table=queue.table,
        orphans=_orphans(queue),
    )
    purged = 0
    while gone := len(queue.archive_where(chosen, (_UUID, _PER_BATCH))):
        purged += gone
        if gone < _PER_BATCH:
            break
    return purged


def _orphans(queue: KeyedQueue) -> SQL:
    """Query: messages with a well-formed chunk id, and what is wrong with that chunk. One parameter: the form.

    Only what has the form is cast: the first message of another shape would end the whole query.
    """
    return compose(
        """
        SELECT q.msg_id, q.chunk_id, CASE WHEN c.id IS NULL THEN 'missing' ELSE 'inactive' END AS kind, q.read_ct
        FROM (
            SELECT msg_id, read_ct,
                   CASE WHEN message->>'chunk_id' ~* %s THEN (message->>'chunk_id')::uuid END AS chunk_id
            FROM {table}
        ) AS q LEFT JOIN file_chunks AS c ON c.id = q.chunk_id
        WHERE q.chunk_id IS NOT NULL AND c.is_active IS NOT TRUE
        """,
        table=queue.table,
    )
