"""The end of a job: vector, message and outcome in one transaction. Delivery is at least once, the effect is once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, TypeAlias
from uuid import UUID

from django.db import DataError, IntegrityError

from integrity.backends import get_rows
from integrity.backends.sql import SQL
from integrity.models import FileState
from integrity.pipeline.providers import Vectors
from integrity.pipeline.states import lock_chunks_to_write, lock_to_write
from integrity.pipeline.triage import LiveJob
from integrity.queue import KeyedQueue
from integrity.signals import pipeline_step

PATIENCE: Final = timedelta(seconds=10)  # for a file that is being changed

Store: TypeAlias = Callable[..., set[UUID]]
"""``copy_vectors`` or ``insert_vectors``: stores what it can, and says of which chunks."""


def commit_vectors(
    *, jobs: Sequence[LiveJob], vectors: Vectors, model: str, queue: KeyedQueue, wait: bool = True
) -> Counter[str]:
    """Store the vectors of jobs that nobody has taken over and nothing has superseded; return outcomes by number.

    Two fences: the lease (somebody else may have read the message since) and the version (the file may have changed
    since). ``lost`` counts what the first one stopped: another worker has those messages now. Safe to repeat after a
    COMMIT whose outcome is unknown. Locks as in Note [Lock order].

    Args:
        jobs: distinct messages; two of them may name the same chunk.
        vectors: one row per job.
        wait: for files that somebody is changing; else their jobs are left as they are, and not counted.
    """
    # Not above: they need psycopg, which a project on SQLite has not, and its `manage.py` reads this file.
    from integrity.pipeline.copying import can_copy, copy_vectors
    from integrity.pipeline.vectors import insert_vectors

    if can_copy(using=queue.using):
        # All rows or none. If none, what can be stored is inserted, or the same error comes again.
        with suppress(IntegrityError, DataError):
            return _commit(jobs, vectors, model=model, queue=queue, store=copy_vectors, wait=wait)
    return _commit(jobs, vectors, model=model, queue=queue, store=insert_vectors, wait=wait)


def _commit(
    jobs: Sequence[LiveJob], vectors: Vectors, *, model: str, queue: KeyedQueue, store: Store, wait: bool
) -> Counter[str]:
    using = queue.using
    with get_rows(using=using).batch(lock_timeout=PATIENCE):
        if not wait:
            free = lock_to_write({job.file_id for job in jobs}, wait=False, using=using)
            vectors = vectors[[job.file_id in free for job in jobs]]
            jobs = [job for job in jobs if job.file_id in free]
        current = lock_chunks_to_write({job.chunk_id: job.file_id for job in jobs}, using=using)
        pipeline_step.send(sender=FileState, using=using, step="files locked")
        fresh = [number for number, job in enumerate(jobs) if job.chunk_id in current]
        held = set(queue.archive_leased([jobs[number].lease for number in fresh], outcome="done"))
        ours = [number for number in fresh if jobs[number].lease.msg_id in held]
        gone = _write([jobs[number] for number in ours], vectors[ours], model=model, queue=queue, store=store)
        stale = [job.lease for job in jobs if job.chunk_id not in current]
        superseded = len(queue.archive_leased(stale, outcome="superseded"))
        pipeline_step.send(sender=FileState, using=using, step="vectors written")
    counts = Counter(done=len(ours) - gone, superseded=superseded + gone)
    counts["lost"] = len(jobs) - counts.total()
    return counts


def _write(jobs: Sequence[LiveJob], vectors: Vectors, *, model: str, queue: KeyedQueue, store: Store) -> int:
    """Store; correct the outcome of jobs whose chunk somebody removed behind our back, and return how many."""
    if not jobs:
        return 0
    chunks = [job.chunk_id for job in jobs]
    written = store(chunks=chunks, vectors=vectors, model=model, using=queue.using)
    if len(written) == len(jobs):
        return 0
    present = written | _embedded(chunks, model=model, using=queue.using)
    gone = [job.lease.msg_id for job in jobs if job.chunk_id not in present]
    queue.set_outcome(gone, outcome="superseded")
    return len(gone)


def _embedded(chunks: Sequence[UUID], *, model: str, using: str) -> set[UUID]:
    found = get_rows(using=using).fetch(
        SQL("SELECT chunk_id FROM file_embeddings WHERE chunk_id = ANY(%s::uuid[]) AND model_version = %s"),
        (list(chunks), model),
    )
    return {chunk for (chunk,) in found}
