"""The pipeline's story: re-upload, kill a worker, lose the queue, bury and redrive; search answers throughout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.core.management import call_command

from integrity.demo.own_database import empty_own_database
from integrity.demo.processes import kill_worker, run_worker
from integrity.demo.searcher import Searcher, searching
from integrity.models import CourseFile
from integrity.models.fields import uuid7
from integrity.pipeline import Processed, job_queue, measure, open_letters, process_file, reconcile, redrive
from integrity.pipeline.providers import InputRejected, Provider, Vectors
from integrity.pipeline.providers.offline import OfflineProvider
from integrity.pipeline.search import require_pgvector
from integrity.pipeline.worker import Worker
from integrity.queue import KeyedQueue, install

CHUNKS = 400
QUERY = "the tide in the harbour"


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


class PipelineStory:
    """Tells how the pipeline takes what goes wrong, on one database, which it empties first."""

    def __init__(self, *, using: str, say: Callable[[str], None]) -> None:
        self._using = using
        self._say = say
        self._provider = OfflineProvider()
        self._queue: KeyedQueue = job_queue(using=using)

    def tell(self) -> Counter[str]:
        """Tell it all; return how searches were answered meanwhile.

        Raises:
            NotTheDemoDatabase: the database is not named ``integrity_demo``.
            SearchUnavailable: the server has no pgvector.
            WorkerFailed: a worker did not do what it is for.
        """
        empty_own_database(using=self._using)
        call_command("migrate", database=self._using, verbosity=0)
        require_pgvector(using=self._using)
        install(using=self._using)
        self._queue.create()
        file = self._upload_for_the_first_time()
        with searching(QUERY, provider=self._provider, using=self._using) as searcher:
            for step in (self._reupload, self._lose_the_queue, self._bury_and_redrive):
                step(file)
                self._tell_answers(searcher)
        return searcher.answers

    def _upload_for_the_first_time(self) -> UUID:
        self._say(f"1. A file is uploaded: {CHUNKS} chunks, a job for each. A worker embeds them.")
        file = _new_file(using=self._using)
        self._upload(file, _texts("calm"))
        self._counters("before")
        run_worker(using=self._using)
        self._counters("after")
        self._say("   From now on, somebody searches again and again.")
        return file

    def _reupload(self, file: UUID) -> None:
        self._say("\n2. It is uploaded again, and at once again; then the worker on it is killed (SIGKILL).")
        self._upload(file, _texts("rising"))
        last = self._upload(file, _texts("high"))
        self._say(f"   {last.cancelled} jobs of the version in between were cancelled, with a record of each.")
        self._counters("before")
        kill_worker(using=self._using, once=lambda: measure(queue=self._queue).hidden > 0)
        self._counters("killed")
        self._say("   Another worker begins with the rest, and takes over once the dead one's leases (2 s) are over.")
        run_worker(using=self._using)
        self._counters("after")

    def _lose_the_queue(self, file: UUID) -> None:
        self._say("\n3. It is uploaded again, and somebody purges the whole queue.")
        self._upload(file, _texts("falling"))
        self._counters("before")
        self._say(f"   {self._queue.purge_queue()} messages are gone.")
        self._counters("purged")
        sent = reconcile(queue=self._queue, model=self._provider.model)
        self._say(f"   Reconciling finds what they were for: {sent} jobs are sent again.")
        run_worker(using=self._using)
        self._counters("after")

    def _bury_and_redrive(self, file: UUID) -> None:
        self._say("\n4. It is uploaded with one chunk that the provider refuses: halving finds it.")
        self._upload(file, [*_texts("low"), "a word about krakens"])
        self._counters("before")
        worker = Worker(queue=self._queue, provider=_Refusing(provider=self._provider, word="krakens"))
        while worker.step():
            pass
        for letter in open_letters(queue=self._queue):
            self._say(f"   Buried alone: {letter.reason}: {letter.error}")
        self._counters("buried")
        self._say(f"   The provider has changed its mind. Redriven: {redrive(queue=self._queue).sent}.")
        run_worker(using=self._using)
        self._counters("after")

    def _upload(self, file: UUID, chunks: list[str]) -> Processed:
        return process_file(file=file, chunks=chunks, model=self._provider.model, queue=self._queue, using=self._using)

    def _counters(self, moment: str) -> None:
        status = measure(queue=self._queue)
        outcomes = ", ".join(f"{number} {outcome}" for outcome, number in status.outcomes.items())
        served = "no" if status.waiting_files else "yes"
        self._say(
            f"   {moment + ':':8}{status.ready} ready, {status.hidden} hidden; archived: {outcomes or 'none'}; "
            f"dead letters: {sum(status.dead.values())}; newest version served: {served}"
        )

    def _tell_answers(self, searcher: Searcher) -> None:
        said = searcher.answers
        self._say(
            f"   Searches so far: {said['answered']} answered, {said['empty']} found nothing, {said['failed']} failed, "
            f"{said['mixed']} mixed two versions."
        )


def _texts(tide: str) -> list[str]:
    return [f"{tide} tide in harbour {number}: what lies on pier {number % 7}" for number in range(CHUNKS)]


def _new_file(*, using: str) -> UUID:
    identity = uuid7()
    CourseFile.objects.using(using).create(
        id=identity, course_id=uuid7(), name="harbours", original_name="harbours.txt", storage_path=f"demo/{identity}"
    )
    return identity
