"""Messages whose chunk is gone or replaced: nothing good can come of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from integrity.backends import get_rows
from integrity.backends.sql import SQL, compose
from integrity.backends.supported import require_postgresql
from integrity.queue import KeyedQueue

_PER_SEARCH: Final = 200_000
_PER_BATCH: Final = 10_000

# Only what has the form of an id is cast: one message of another shape would end the whole statement. These three
# together take a tenth of the time of one regular expression that counts.
_CHUNK_ID: Final = SQL("""
    CASE WHEN (q.message->>'chunk_id' LIKE '________-____-____-____-____________'
               OR length(q.message->>'chunk_id') = 32)
          AND length(replace(q.message->>'chunk_id', '-', '')) = 32
          AND q.message->>'chunk_id' !~ '[^0-9a-fA-F-]'
         THEN (q.message->>'chunk_id')::uuid END
""")
_KIND: Final = SQL("CASE WHEN c.id IS NULL THEN 'missing' ELSE 'inactive' END")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A message that names a chunk which is ``missing`` or ``inactive``."""

    msg_id: int
    chunk_id: UUID
    kind: str
    read_ct: int


def find_orphans(*, queue: KeyedQueue, limit: int) -> list[Orphan]:
    """Return the first ``limit`` orphans, by ``msg_id``.

    Raises:
        UnsupportedDatabase: this is not PostgreSQL.
    """
    require_postgresql(what="The queue", using=queue.using)
    found = get_rows(using=queue.using).fetch(
        compose(
            "SELECT q.msg_id, {chunk_id}, {kind}, q.read_ct {orphans} ORDER BY q.msg_id LIMIT %s",
            chunk_id=_CHUNK_ID,
            kind=_KIND,
            orphans=_from_orphans(queue),
        ),
        (limit,),
    )
    return [Orphan(msg_id=m, chunk_id=c, kind=kind, read_ct=ct) for m, c, kind, ct in found]


def count_orphans(*, queue: KeyedQueue) -> dict[str, int]:
    """Count orphans by kind.

    Raises:
        UnsupportedDatabase: this is not PostgreSQL.
    """
    require_postgresql(what="The queue", using=queue.using)
    return dict(
        get_rows(using=queue.using).fetch(
            compose("SELECT {kind}, COUNT(*) {orphans} GROUP BY 1 ORDER BY 1", kind=_KIND, orphans=_from_orphans(queue))
        )
    )


def purge_orphans(*, queue: KeyedQueue) -> int:
    """Archive all orphans with their outcome, those being worked on included; return how many.

    A worker that holds one finds its lease gone. Messages that somebody is changing right now are passed over, so
    that no lock is waited for.

    Raises:
        UnsupportedDatabase: this is not PostgreSQL.
    """
    require_postgresql(what="The queue", using=queue.using)
    # Found without locks, on all processors, and looked at again under theirs.
    found = compose("SELECT q.msg_id {orphans} ORDER BY q.msg_id LIMIT %s", orphans=_from_orphans(queue))
    chosen = compose(
        """
        SELECT q.msg_id, CASE WHEN c.id IS NULL THEN 'orphaned' ELSE 'superseded' END
        {orphans} AND q.msg_id = ANY(%s::bigint[]) ORDER BY q.msg_id FOR UPDATE OF q SKIP LOCKED
        """,
        orphans=_from_orphans(queue),
    )
    purged, before = 0, -1
    while purged > before:
        before = purged
        orphans = [msg_id for (msg_id,) in get_rows(using=queue.using).fetch(found, (_PER_SEARCH,))]
        for start in range(0, len(orphans), _PER_BATCH):
            purged += len(queue.archive_where(chosen, (orphans[start : start + _PER_BATCH],)))
        if len(orphans) < _PER_SEARCH:
            break
    return purged


def _from_orphans(queue: KeyedQueue) -> SQL:
    """FROM and WHERE: each message ``q`` whose chunk ``c`` is not there, or not active."""
    return compose(
        """
        FROM {table} AS q LEFT JOIN file_chunks AS c ON c.id = {chunk_id}
        WHERE CASE WHEN c.id IS NULL THEN {chunk_id} IS NOT NULL ELSE c.is_active IS NOT TRUE END
        """,
        table=queue.table,
        chunk_id=_CHUNK_ID,
    )
