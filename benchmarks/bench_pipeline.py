"""How fast the pipeline is without its provider: ``python -m benchmarks.bench_pipeline [--chunks 20000]``.

Prints the full exactly-once commit path (read, triage, fences, 384-dim vectors, archive, serve) with 1 and 4 workers,
as chunks per second and as a ratio to PGMQ's own read + archive in the same run; a reprocess of 10,000 chunks; an
orphan purge and a reconcile on a large queue. No vector index; the provider answers at once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property

import numpy as np
from django.db import connection, connections

from benchmarks.scratch import postgresql
from integrity.models import CourseFile
from integrity.models.fields import uuid7
from integrity.pipeline import job_queue, process_file, purge_orphans, reconcile
from integrity.pipeline.providers import Vectors
from integrity.pipeline.worker import Worker
from integrity.queue import Queue, install
from tests.databases import Database

DIMENSIONS = 384
BATCH = 100
LEASE = timedelta(minutes=5)


class Instant:
    """Vectors from nowhere: what is left is the pipeline itself."""

    model = "instant"
    dimensions = DIMENSIONS

    @cached_property
    def _numbers(self) -> Vectors:
        return np.random.default_rng(6).standard_normal((500, DIMENSIONS), dtype=np.float32)

    def embed(self, texts: Sequence[str]) -> Vectors:
        return self._numbers[: len(texts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--orphans", type=int, default=1_000_000)
    parser.add_argument("--worker", choices=["ours", "plain"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker)
        return
    with postgresql() as database:
        prepare()
        for workers in (1, 4):
            compare(given.chunks, workers=workers, database=database)
        reprocess(10_000)
        purge(given.orphans)


def compare(chunks: int, *, workers: int, database: Database) -> None:
    plain = rate(chunks, fill=fill_plain, kind="plain", workers=workers, database=database)
    ours = rate(chunks, fill=fill_ours, kind="ours", workers=workers, database=database)
    print(f"{workers} workers: PGMQ's read + archive {plain:,.0f}/s, full commit {ours:,.0f}/s, {ours / plain:.2f}")


def rate(chunks: int, *, fill: Callable[[int], None], kind: str, workers: int, database: Database) -> float:
    """Fill the queue and let processes empty it; return messages per second."""
    clear()
    fill(chunks)
    execute("VACUUM ANALYZE")
    command = [sys.executable, "-m", "benchmarks.bench_pipeline", "--worker", kind]
    processes = [
        subprocess.Popen(command, env=database.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(workers)
    ]
    for process in processes:
        process.stdout.readline()  # type: ignore[union-attr]  # it has loaded everything
    with timed() as seconds:
        for process in processes:
            process.stdin.close()  # type: ignore[union-attr]
        for process in processes:
            process.stdout.readline()  # type: ignore[union-attr]  # it is done; that Python takes its time to end is no
    for process in processes:  # work of the pipeline's
        process.wait()
    archived = fetch(f"SELECT COUNT(*) FROM {queue_of(kind).archived}")
    assert archived == chunks, f"{archived} of {chunks} messages were archived"  # noqa: S101 - or the rate is a lie
    return chunks / seconds()


def work(kind: str) -> None:
    """Be one worker process: get ready, wait for the start, empty the queue."""
    queue = queue_of(kind)
    worker = Worker(queue=job_queue(), provider=Instant(), batch_size=BATCH)
    connection.ensure_connection()
    print("ready", flush=True)
    sys.stdin.read()
    if kind == "ours":
        worker.run(until_empty=True)
    else:
        while messages := queue.read(vt=LEASE, qty=BATCH):
            queue.archive([message.msg_id for message in messages])
    print("done", flush=True)
    connections.close_all()


def queue_of(kind: str) -> Queue:
    return job_queue() if kind == "ours" else Queue(name="plain")


def fill_plain(count: int) -> None:
    fill_ours(count)
    execute(f"INSERT INTO {Queue(name='plain').table} (vt, message) SELECT vt, message FROM {job_queue().table}")


def fill_ours(count: int) -> None:
    """Make files of 1,000 chunks each."""
    for start in range(0, count, 1000):
        upload(min(1000, count - start), salt=str(start))


def upload(chunks: int, *, salt: str, file: CourseFile | None = None) -> CourseFile:
    file = file or CourseFile.objects.create(course_id=uuid7(), name="x", original_name="x", storage_path="x")
    texts = [f"{salt} {number} " + "some text " * 40 for number in range(chunks)]
    process_file(file=file.pk, chunks=texts, model=Instant.model)
    return file


def reprocess(chunks: int) -> None:
    clear()
    file = upload(chunks, salt="old")
    with timed() as seconds:
        upload(chunks, salt="new", file=file)
    print(f"reprocess of {chunks:,} waiting chunks: {seconds() * 1000:,.0f} ms")


def purge(messages: int) -> None:
    """Purge 10,000 orphans out of many messages, then lose all messages and reconcile."""
    clear()
    file = upload(1, salt="one")
    execute(
        "INSERT INTO file_chunks (id, file_id, chunk_index, content) "
        f"SELECT gen_random_uuid(), '{file.pk}', n, 'x' FROM generate_series(1, {messages}) AS n"
    )
    execute("VACUUM ANALYZE file_chunks")
    with timed() as seconds:
        sent = reconcile(queue=job_queue(), model=Instant.model)
    print(f"reconcile of {sent:,} chunks that were lost: {seconds():,.1f} s")
    with timed() as seconds:
        reconcile(queue=job_queue(), model=Instant.model)
    print(f"reconcile with nothing to do: {seconds() * 1000:,.0f} ms")
    execute(
        f"UPDATE {job_queue().table} SET message = message || jsonb_build_object('chunk_id', gen_random_uuid()) "
        "WHERE msg_id % 100 = 0"
    )
    execute("VACUUM ANALYZE")
    with timed() as seconds:
        purged = purge_orphans(queue=job_queue())
    print(f"purge of {purged:,} orphans out of {messages:,} messages: {seconds() * 1000:,.0f} ms")


def prepare() -> None:
    install(using="default")
    execute("DROP INDEX IF EXISTS file_embeddings_embedding_idx")
    execute(f"ALTER TABLE file_embeddings ALTER embedding TYPE vector({DIMENSIONS})")
    job_queue().create()
    Queue(name="plain").create()


def clear() -> None:
    queues = ", ".join(f"{queue.table}, {queue.archived}" for queue in (job_queue(), Queue(name="plain")))
    execute(f"TRUNCATE course_files, file_chunks, file_embeddings, integrity_file_state, {queues}")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def fetch(statement: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    begin = time.perf_counter()
    end: list[float] = []
    yield lambda: end[0]
    end.append(time.perf_counter() - begin)


if __name__ == "__main__":
    main()
