"""Before the provider is paid: which jobs of a batch are still worth doing?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from integrity.backends import get_rows
from integrity.backends.sql import SQL, array
from integrity.pipeline.jobs import Job
from integrity.pipeline.states import adopt
from integrity.queue import Lease

_CHUNKS: Final = SQL("""
    SELECT c.id, c.file_id, c.version, c.is_active, c.content, s.current_version, s.model,
           EXISTS (SELECT 1 FROM file_embeddings AS e WHERE e.chunk_id = c.id AND e.model_version = %s)
    FROM file_chunks AS c LEFT JOIN integrity_file_state AS s ON s.file_id = c.file_id
    WHERE c.id = ANY(%s::uuid[])
""")


class LiveJob(NamedTuple):
    """A job that is worth doing, with what its chunk says."""

    job: Job
    chunk_id: UUID
    file_id: UUID
    version: int
    content: str

    @property
    def lease(self) -> Lease:
        """The lease on the job's message."""
        return self.job.lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """A batch, sorted: what to embed, what somebody else's model must do, and what to archive as what."""

    live: list[LiveJob] = field(default_factory=list)
    other_model: list[Job] = field(default_factory=list)
    archive: dict[str, list[Lease]] = field(default_factory=dict)
    files: set[UUID] = field(default_factory=set)
    """Files that may be complete once this batch is done."""


def sort_jobs(jobs: Sequence[Job], *, model: str, using: str) -> Triage:
    """Sort a batch by what the database says now. Locks nothing: the commit asks again."""
    sorted_jobs = Triage()
    chunks = _find_chunks(jobs, model=model, using=using)
    for job in jobs:
        outcome = _outcome(job, chunks.get(job.chunk_id), model=model)
        if outcome == "live":
            chunk = chunks[job.chunk_id]
            sorted_jobs.files.add(chunk.file_id)
            sorted_jobs.live.append(
                LiveJob(job=job, chunk_id=chunk.id, file_id=chunk.file_id, version=chunk.version, content=chunk.content)
            )
        elif outcome == "other model":
            sorted_jobs.other_model.append(job)
        else:
            sorted_jobs.archive.setdefault(outcome, []).append(job.lease)
            if outcome == "done":
                sorted_jobs.files.add(chunks[job.chunk_id].file_id)
    return sorted_jobs


class _Chunk(NamedTuple):
    id: UUID
    file_id: UUID
    version: int
    is_active: bool
    content: str
    current_version: int | None
    model: str | None
    embedded: bool


def _find_chunks(jobs: Sequence[Job], *, model: str, using: str) -> dict[UUID, _Chunk]:
    params: tuple[Any, ...] = (model, array(job.chunk_id for job in jobs))
    rows = get_rows(using=using)
    chunks = [_Chunk(*row) for row in rows.fetch(_CHUNKS, params)]
    if unknown := {chunk.file_id for chunk in chunks if chunk.current_version is None}:
        adopt(unknown, model=model, using=using)
        chunks = [_Chunk(*row) for row in rows.fetch(_CHUNKS, params)]
    return {chunk.id: chunk for chunk in chunks}


def _outcome(job: Job, chunk: _Chunk | None, *, model: str) -> str:
    """One line per fate of a job."""
    if chunk is None:
        return "orphaned"
    if job.file_id is not None and job.file_id != chunk.file_id:
        return "orphaned"
    if not chunk.is_active or chunk.version != chunk.current_version:
        return "superseded"
    if job.version is not None and job.version != chunk.version:
        return "superseded"
    wanted = job.model or chunk.model  # without one, the file's: another's vector would not make it complete
    if job.version is not None and wanted != chunk.model:
        return "superseded"
    if wanted != model:
        return "other model"
    return "done" if chunk.embedded else "live"
