"""The end of a job: vector, message and outcome in one transaction. Delivery is at least once, the effect is once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from integrity.backends import get_rows
from integrity.backends.sql import SQL
from integrity.models import FileState
from integrity.pipeline.providers import Vectors
from integrity.pipeline.states import lock_to_write
from integrity.pipeline.triage import LiveJob
from integrity.pipeline.vectors import insert_vectors
from integrity.queue import KeyedQueue
from integrity.signals import pipeline_step

PATIENCE: Final = timedelta(seconds=10)  # for a file that is being changed


def commit_vectors(*, jobs: Sequence[LiveJob], vectors: Vectors, model: str, queue: KeyedQueue) -> Counter[str]:
    """Store the vectors of jobs that nobody has taken over and nothing has superseded; return outcomes by number.

    Two fences: the lease (somebody else may have read the message since) and the version (the file may have changed
    since). ``lost`` counts what the first one stopped: another worker has those messages now. Safe to repeat after a
    COMMIT whose outcome is unknown. Locks as in Note [Lock order].

    Args:
        jobs: distinct messages; two of them may name the same chunk.
        vectors: one row per job.
    """
    using = queue.using
    with get_rows(using=using).batch(lock_timeout=PATIENCE):
        current = lock_to_write({job.file_id for job in jobs}, using=using)
        pipeline_step.send(sender=FileState, using=using, step="files locked")
        is_fresh = [current.get(job.file_id) == job.version for job in jobs]
        fresh = [number for number, is_it in enumerate(is_fresh) if is_it]
        held = set(queue.archive_leased([jobs[number].lease for number in fresh], outcome="done"))
        ours = [number for number in fresh if jobs[number].job.message.msg_id in held]
        gone = _write([jobs[number] for number in ours], vectors[ours], model=model, queue=queue)
        stale = [job.lease for job, is_it in zip(jobs, is_fresh, strict=True) if not is_it]
        superseded = len(queue.archive_leased(stale, outcome="superseded"))
        pipeline_step.send(sender=FileState, using=using, step="vectors written")
    counts = Counter(done=len(ours) - gone, superseded=superseded + gone)
    counts["lost"] = len(jobs) - counts.total()
    return counts


def _write(jobs: Sequence[LiveJob], vectors: Vectors, *, model: str, queue: KeyedQueue) -> int:
    """Insert; correct the outcome of jobs whose chunk somebody removed behind our back, and return how many."""
    if not jobs:
        return 0
    chunks = [job.chunk_id for job in jobs]
    written = insert_vectors(chunks=chunks, vectors=vectors, model=model, using=queue.using)
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
