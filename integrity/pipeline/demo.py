"""The pipeline's story: re-upload, kill a worker, lose the queue, bury and redrive; search answers throughout."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connections

from integrity.models import CourseFile
from integrity.models.fields import uuid7
from integrity.pipeline.dead import open_letters, redrive
from integrity.pipeline.jobs import job_queue
from integrity.pipeline.process import process_file
from integrity.pipeline.providers import InputRejected, Provider, Vectors, get_provider
from integrity.pipeline.reconcile import reconcile
from integrity.pipeline.search import search
from integrity.pipeline.status import measure
from integrity.pipeline.worker import Worker
from integrity.queue import KeyedQueue, install

CHUNKS = 400
PATIENCE = 60.0  # seconds for another process to get somewhere
QUERY = "the tide in the harbour"

Report = Callable[[str], None]
StartWorker = Callable[[], "subprocess.Popen[str]"]


@dataclass(frozen=True, kw_only=True)
class _Refusing:
    """The given provider, but for texts that hold a word."""

    provider: Provider
    word: str

    @property
    def model(self) -> str:
        return self.provider.model

    @property
    def dimensions(self) -> int:
        return self.provider.dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        if any(self.word in text for text in texts):
            raise InputRejected(f"a text about {self.word} is not taken today")
        return self.provider.embed(texts)


@dataclass(kw_only=True)
class _Searcher:
    """Asks again and again, on a thread of its own, until the story is told."""

    provider: Provider
    using: str
    answers: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            while not self.over.wait(0.05):
                hits = search(query=QUERY, k=5, provider=self.provider, using=self.using)
                versions = {(hit.file, hit.version) for hit in hits}
                mixed = len(versions) > len({file for file, _ in versions})
                self.answers["mixed" if mixed else "answered" if hits else "empty"] += 1
        finally:
            connections[self.using].close()


def run(*, report: Report, start_worker: StartWorker, using: str) -> Counter[str]:
    """Tell the story on a database whose tables are there; return how the searches were answered.

    ``start_worker`` starts ``manage.py embedding_worker --until-empty`` on the same database, as a process. A file is
    made and stays.
    """
    install(using=using)
    queue, provider = job_queue(using=using), get_provider()
    queue.create()
    file = _new_file(using=using)
    report(f"1. A file is uploaded: {CHUNKS} chunks, a job for each. A worker embeds them.")
    process_file(file=file, chunks=_texts("calm"), queue=queue, using=using)
    _finish(start_worker)
    _counters(queue, report)
    with _searching(provider, using=using) as searcher:
        _reupload(file, queue, report, start_worker)
        _lose_the_queue(file, queue, provider, report, start_worker)
        _bury_and_redrive(file, queue, provider, report, start_worker)
    report(f"Meanwhile {searcher.answers['answered']} searches were answered, {searcher.answers['empty']} were not, "
           f"{searcher.answers['mixed']} mixed two versions.")  # fmt: skip
    return searcher.answers


def _reupload(file: UUID, queue: KeyedQueue, report: Report, start_worker: StartWorker) -> None:
    report("2. It is uploaded again, and at once again; the worker on it is killed in the middle.")
    process_file(file=file, chunks=_texts("rising"), queue=queue, using=queue.using)
    last = process_file(file=file, chunks=_texts("high"), queue=queue, using=queue.using)
    report(f"   {last.cancelled} jobs of the version in between were cancelled, with a record of each.")
    with start_worker() as worker:
        _wait_until(lambda: measure(queue=queue).hidden > 0 or worker.poll() is not None)
        worker.kill()
    _counters(queue, report)
    report("   Another worker takes over once the dead one's leases are over.")
    _finish(start_worker)
    _counters(queue, report)


def _lose_the_queue(
    file: UUID, queue: KeyedQueue, provider: Provider, report: Report, start_worker: StartWorker
) -> None:
    report("3. It is uploaded again, and somebody purges the whole queue.")
    process_file(file=file, chunks=_texts("falling"), queue=queue, using=queue.using)
    report(f"   {queue.purge_queue()} messages are gone. Reconciling finds what they were for:")
    report(f"   {reconcile(queue=queue, model=provider.model)} jobs are sent again.")
    _finish(start_worker)
    _counters(queue, report)


def _bury_and_redrive(
    file: UUID, queue: KeyedQueue, provider: Provider, report: Report, start_worker: StartWorker
) -> None:
    report("4. It is uploaded with one chunk that the provider refuses: halving finds it, and it is buried alone.")
    process_file(file=file, chunks=[*_texts("low"), "a word about krakens"], queue=queue, using=queue.using)
    worker = Worker(queue=queue, provider=_Refusing(provider=provider, word="krakens"))
    while worker.step():
        pass
    for letter in open_letters(queue=queue):
        report(f"   dead letter: {letter.reason}: {letter.error}")
    _counters(queue, report)
    report(f"   The provider has changed its mind. Sent again: {redrive(queue=queue).sent}.")
    _finish(start_worker)
    _counters(queue, report)


def _counters(queue: KeyedQueue, report: Report) -> None:
    status = measure(queue=queue)
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in status.outcomes.items())
    report(
        f"   ready {status.ready}, hidden {status.hidden}, archived: {outcomes or 'none'}, "
        f"dead letters {sum(status.dead.values())}, files not served in their newest version {status.waiting_files}"
    )


@contextmanager
def _searching(provider: Provider, *, using: str) -> Iterator[_Searcher]:
    searcher = _Searcher(provider=provider, using=using)
    thread = threading.Thread(target=searcher.run)
    thread.start()
    try:
        yield searcher
    finally:
        searcher.over.set()
        thread.join()


def _finish(start_worker: StartWorker) -> None:
    with start_worker() as worker:
        worker.wait()


def _wait_until(condition: Callable[[], bool]) -> None:
    never = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        if condition():
            return
        never.wait(0.02)


def _texts(tide: str) -> list[str]:
    return [f"{tide} tide in harbour {number}: what lies on pier {number % 7}" for number in range(CHUNKS)]


def _new_file(*, using: str) -> UUID:
    identity = uuid7()
    CourseFile.objects.using(using).create(
        id=identity, course_id=uuid7(), name="harbours", original_name="harbours.txt", storage_path=f"demo/{identity}"
    )
    return identity
