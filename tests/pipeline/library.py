"""The pipeline as tests speak of it: put files in, let workers run, look at what is there."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from integrity.models import CourseFile, DeadLetter, FileState
from integrity.models.fields import uuid7
from integrity.pipeline import Processed, process_file
from integrity.pipeline.providers import Provider
from integrity.pipeline.worker import Worker
from integrity.queue import KeyedQueue

DIMENSIONS = 48


def resize_vectors(dimensions: int) -> None:
    """Let the column take vectors of this length; the index that would not like that goes."""
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS file_embeddings_embedding_idx")
        cursor.execute("SELECT to_regtype('vector') IS NOT NULL")
        if cursor.fetchone()[0]:
            cursor.execute(f"ALTER TABLE file_embeddings ALTER embedding TYPE vector({dimensions})")


def fetch(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    """Run a query on Django's connection and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall())


def execute(statement: str, *params: Any) -> int:
    """Run a statement on Django's connection and return how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return int(cursor.rowcount)


def new_file() -> UUID:
    """Upload a file, without processing it."""
    identity = uuid7()
    CourseFile.objects.create(
        id=identity, course_id=uuid7(), name="notes", original_name="notes.txt", storage_path=f"files/{identity}"
    )
    return identity


def words(prefix: str, count: int) -> list[str]:
    """Return that many different chunks."""
    return [f"{prefix} number {index}: about {prefix}{index} and nothing else" for index in range(count)]


@dataclass(kw_only=True)
class Library:
    """Files to process, and what to ask about them."""

    queue: KeyedQueue
    provider: Provider
    stop: threading.Event = field(default_factory=threading.Event)

    def upload(self, *chunks: str, file: UUID | None = None) -> Processed:
        """Process a file, a new one unless it is named, with these chunks."""
        return process_file(file=file or new_file(), chunks=list(chunks), model=self.provider.model, queue=self.queue)

    def worker(self, **options: Any) -> Worker:
        """Return a worker on this thread."""
        defaults: dict[str, Any] = {"provider": self.provider, "stop": self.stop}
        return Worker(queue=self.queue, **(defaults | options))

    def work(self, **options: Any) -> Counter[str]:
        """Let a worker handle what can be read now; return the outcomes."""
        worker = self.worker(**options)
        while worker.step():
            pass
        return worker.counts

    def send(self, **message: Any) -> int:
        """Send a message of whatever shape."""
        return self.queue.send(message)

    def state(self, file: UUID) -> FileState:
        """Return a file's state as it is now."""
        return FileState.objects.get(file_id=file)

    def embedded(self, file: UUID, *, version: int | None = None) -> int:
        """Count the chunks of a file's version, the current one unless it is named, that have a vector."""
        return int(
            fetch(
                "SELECT COUNT(*) FROM file_chunks c JOIN file_embeddings e ON e.chunk_id = c.id "
                "WHERE c.file_id = %s AND c.version = %s",
                file,
                version or self.state(file).current_version,
            )[0][0]
        )

    def embedded_anywhere(self) -> int:
        """Count all vectors."""
        return int(fetch("SELECT COUNT(*) FROM file_embeddings")[0][0])

    def chunks(self, file: UUID) -> list[UUID]:
        """Return the ids of a file's active chunks, in order."""
        found = fetch("SELECT id FROM file_chunks WHERE file_id = %s AND is_active ORDER BY chunk_index", file)
        return [chunk for (chunk,) in found]

    def waiting(self) -> int:
        """Count the messages in the queue, hidden ones included."""
        return int(fetch(f"SELECT COUNT(*) FROM {self.queue.table}")[0][0])

    def outcomes(self) -> dict[str, int]:
        """Count the archived messages by outcome."""
        return dict(fetch(f"SELECT headers->>'outcome', COUNT(*) FROM {self.queue.archived} GROUP BY 1"))

    def let_leases_end(self) -> None:
        """Make every hidden message readable, as if its time had passed."""
        execute(f"UPDATE {self.queue.table} SET vt = clock_timestamp()")

    def letters(self) -> list[tuple[str, str]]:
        """Return reason and error of the open dead letters."""
        return list(DeadLetter.objects.filter(closed_at=None).order_by("pk").values_list("reason", "error"))


def assert_sound(library: Library) -> None:
    """Assert what always holds, whatever happened: the invariants, as far as one look can tell."""
    assert (
        fetch("""
        SELECT c.id FROM file_chunks c JOIN integrity_file_state s USING (file_id)
        WHERE c.is_active AND c.version <> s.current_version
    """)
        == []
    ), "an active chunk is not of the current version"
    assert (
        fetch("""
        SELECT s.file_id FROM integrity_file_state s JOIN file_chunks c
        ON c.file_id = s.file_id AND c.version = s.serving_version
        WHERE NOT EXISTS (SELECT 1 FROM file_embeddings e WHERE e.chunk_id = c.id AND e.model_version = s.model)
        AND s.serving_version = s.current_version
    """)
        == []
    ), "an incomplete version is served"


def assert_complete(library: Library, file: UUID, *, version: int, chunks: int) -> None:
    """Assert that this version is current, served, whole, and that nothing waits for it."""
    state = library.state(file)
    assert (state.current_version, state.serving_version) == (version, version)
    assert (library.embedded(file), len(library.chunks(file))) == (chunks, chunks)
    assert library.waiting() == 0
    assert CourseFile.objects.get(pk=file).embedding_status == "completed"
    assert_sound(library)
