"""One worker: read, sort, embed, commit; again and again, whatever fails.

Between reading and committing no transaction is open, so that a slow provider blocks nobody. Whatever kills the
worker in between leaves messages that somebody else reads once the lease is over. A COMMIT whose outcome is unknown
needs no care: if it happened, the messages are gone; if not, they are read again.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections

from integrity import conf
from integrity.backends.faults import of_the_surroundings
from integrity.models import DeadLetter, FileState
from integrity.pipeline.batch import Batch
from integrity.pipeline.breaker import Breaker, Permit
from integrity.pipeline.chores import Chores
from integrity.pipeline.failures import CONDEMNED, SUSPECT, Grave, read_by_others, unaccounted
from integrity.pipeline.heartbeat import heartbeat
from integrity.pipeline.jobs import LARGEST_MESSAGE, BadMessage, Job, parse
from integrity.pipeline.providers import Provider
from integrity.pipeline.serving import serve_finished
from integrity.pipeline.triage import sort_jobs
from integrity.queue import KeyedQueue, Message, listen, wait_for_message
from integrity.signals import jobs_done, pipeline_step

log = logging.getLogger(__name__)

SHORTEST_WAIT: Final = timedelta(milliseconds=50)
LONGEST_WAIT: Final = timedelta(seconds=2)
MOST_FAILURES: Final = 30  # of the database in a row: about a minute

Reason = DeadLetter.Reason


@dataclass(kw_only=True)
class Worker:
    """One worker on one thread. ``stop`` ends it after the batch in hand."""

    queue: KeyedQueue
    provider: Provider
    batch_size: int = 100
    stop: threading.Event = field(default_factory=threading.Event)
    chores: Chores | None = None
    """Done between batches when they are due; None: left to other workers."""
    counts: Counter[str] = field(default_factory=Counter)
    """What became of messages, by outcome."""

    def __post_init__(self) -> None:
        self._breaker = Breaker(name=self.provider.model, using=self.queue.using)
        self._touched: set[UUID] = set()
        """Files that may be complete since the last batch."""
        self._waiting: set[UUID] = set()
        """The same of earlier batches, where the next one might bring more of the same file."""

    def run(self, *, until_empty: bool = False) -> None:
        """Work until ``stop`` is set; with ``until_empty``, until the queue holds no message, hidden ones included.

        Raises:
            BreakerOpen: with ``until_empty``: messages wait for a provider that failed again when it was tried.
            DatabaseError: with ``until_empty``: the database has failed for a minute.
        """
        wait, listening, failures = SHORTEST_WAIT, False, 0
        while not self.stop.is_set():
            try:
                if not listening:
                    listen(self.queue)
                    listening = True
                found = self._batch()
                self._serve(more=found == self.batch_size and not self.stop.is_set())
                failures = 0
                if found:
                    wait = SHORTEST_WAIT
                    continue
                if until_empty:
                    if self.queue.is_empty():
                        return
                    self._breaker.require_hope()
                woken = wait_for_message(self.queue, patience=wait)
                wait = SHORTEST_WAIT if woken else min(wait * 2, LONGEST_WAIT)
            except (DatabaseError, InterfaceError) as error:
                failures += 1
                if until_empty and failures >= MOST_FAILURES:
                    raise
                log.warning("The database failed; going on in %.1f s: %s", wait.total_seconds(), error)
                connections[self.queue.using].close()
                listening = False
                self.stop.wait(wait.total_seconds())
                wait = min(wait * 2, LONGEST_WAIT)
        with suppress(DatabaseError, InterfaceError):  # other workers' chores will do it
            self._serve(more=False)

    def run_once(self) -> None:
        """Handle one batch, if there is one.

        Raises:
            BreakerOpen: messages wait for a provider that is not called.
        """
        if not self.step() and not self.queue.is_empty():
            self._breaker.require_closed()

    def step(self) -> int:
        """Do the chores that are due and handle one batch; return how many messages were read."""
        found = self._batch()
        self._serve(more=False)
        return found

    def _batch(self) -> int:
        if self.chores is not None:
            self.chores.do_due()
        permit = self._breaker.permit()
        if permit is None:
            return 0
        size = 1 if permit.probe else self.batch_size
        messages = self.queue.read(vt=conf.embedding_lease(), qty=size, largest=LARGEST_MESSAGE)
        pipeline_step.send(sender=FileState, using=self.queue.using, step="messages read")
        if not (messages and self._handle(messages, permit)):
            self._breaker.unused(permit)
        return len(messages)

    def _handle(self, messages: Sequence[Message], permit: Permit) -> bool:
        """Bring a batch to its end; return whether the provider was called."""
        leases = [message.lease for message in messages]
        with heartbeat(leases, lease_time=conf.embedding_lease(), queue=self.queue) as beat:
            batch = Batch(
                queue=self.queue,
                provider=self.provider,
                breaker=self._breaker,
                permit=permit,
                stop=self.stop,
                beat=beat,
            )
            try:
                jobs, suspects = self._admit(messages, batch)
                called = [self._work(some, batch) for some in (jobs, suspects) if some]
            except DatabaseError as error:
                if of_the_surroundings(error):  # else one of the messages may be at fault: the read counts
                    with suppress(DatabaseError, InterfaceError):
                        batch.snooze(messages, delay=conf.embedding_lease())
                raise
        self.counts += batch.counts
        log.info("%d messages: %s", len(messages), dict(batch.counts))
        jobs_done.send(sender=FileState, using=self.queue.using, queue=self.queue.name, counts=dict(batch.counts))
        return any(called)

    def _admit(self, messages: Sequence[Message], batch: Batch) -> tuple[list[Job], list[Job]]:
        """Bury what is no job or has crashed too many workers; return the jobs, and the one to be done alone."""
        graves: list[Grave] = []
        jobs: list[Job] = []
        suspects: list[Job] = []
        foreign: list[Message] = []
        for message in messages:
            job, reads = parse(message), unaccounted(message)
            if isinstance(job, BadMessage):
                graves.append(Grave.of_message(job))
            elif read_by_others(job):
                foreign.append(message)
            elif reads >= CONDEMNED:
                error = f"{reads - 1} reads ended without a word, the last ones alone in their batch."
                graves.append(Grave.of_job(job, reason=Reason.CRASH_LOOP, error=error))
            else:
                (suspects if reads >= SUSPECT else jobs).append(job)
        batch.bury(graves)
        batch.take_over(foreign)
        # One suspect at a time: if it ends this worker, no other message was read in vain.
        batch.snooze([job.message for job in suspects[1:]])
        return jobs, suspects[:1]

    def _work(self, jobs: Sequence[Job], batch: Batch) -> bool:
        triage = sort_jobs(jobs, model=self.provider.model, using=self.queue.using)
        for outcome, leases in triage.archive.items():
            batch.counts[outcome] += len(self.queue.archive_leased(leases, outcome=outcome))
        if triage.other_model:
            error = f"No worker for this model took it; this one has {self.provider.model}."
            batch.retry(triage.other_model, reason=Reason.WRONG_MODEL, error=error)
        if triage.live:
            batch.embed(triage.live)
        self._touched |= triage.files
        return bool(triage.live)

    def _serve(self, *, more: bool) -> None:
        """Serve files that are complete. Where ``more`` messages are likely, ask only for those the last batch left."""
        due = self._waiting - self._touched if more else self._waiting | self._touched
        if due:
            serve_finished(due, queue=self.queue)
        self._waiting, self._touched = self._touched if more else set(), set()
