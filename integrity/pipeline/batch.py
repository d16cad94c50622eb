"""One batch of jobs: call the provider, commit, and find the culprit where one text spoils the whole."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from django.db import OperationalError, connections

from integrity import conf
from integrity.models import DeadLetter, FileState
from integrity.pipeline.breaker import Breaker, Permit
from integrity.pipeline.commit import commit_vectors
from integrity.pipeline.failures import Grave, bury, retry, snooze, take_over
from integrity.pipeline.heartbeat import Beat
from integrity.pipeline.jobs import Job
from integrity.pipeline.providers import (
    BadAnswer,
    InputRejected,
    Provider,
    ProviderError,
    ProviderMisconfigured,
    ProviderUnavailable,
    RateLimited,
    Vectors,
    check_answer,
    said,
)
from integrity.pipeline.triage import LiveJob
from integrity.queue import KeyedQueue, Message
from integrity.signals import pipeline_step

log = logging.getLogger(__name__)

AT_ONCE: Final = timedelta(0)
COMMIT_ATTEMPTS: Final = 3

Reason = DeadLetter.Reason


@dataclass(kw_only=True)
class Batch:
    """What the jobs of one batch share. ``counts`` tells what became of them."""

    queue: KeyedQueue
    provider: Provider
    breaker: Breaker
    permit: Permit
    stop: threading.Event
    beat: Beat
    """Keeps the leases on all of the batch's messages alive: those of one half while the other is done, too."""
    counts: Counter[str] = field(default_factory=Counter)
    tripped: bool = False
    """The provider is in trouble: what is left of the batch is given back."""

    def embed(self, jobs: Sequence[LiveJob]) -> None:
        """Bring these jobs to an end, or give them back. Raises nothing of the provider's."""
        if self.stop.is_set() or self.tripped:
            self._give_back(jobs)
            return
        try:
            vectors = self._call(jobs)
        except ProviderUnavailable as error:
            self._unavailable(jobs, error)
        except (InputRejected, BadAnswer) as error:
            self.breaker.succeeded(self.permit)  # it works: it is the input that it does not like
            self._halve(jobs, error)
        else:
            self.breaker.succeeded(self.permit)
            self._commit(jobs, vectors)

    def bury(self, graves: Sequence[Grave]) -> None:
        """Give messages up."""
        self.counts["dead"] += bury(graves, queue=self.queue)

    def retry(self, jobs: Sequence[LiveJob | Job], *, reason: DeadLetter.Reason, error: str) -> None:
        """Give failed jobs back, or up where they have failed often enough."""
        self.beat.let_go([job.lease for job in jobs])
        graves = retry(jobs, reason=reason, error=error, queue=self.queue)
        self.counts["retry"] += len(jobs) - len(graves)
        self.bury(graves)

    def snooze(self, messages: Sequence[Message], *, delay: timedelta = AT_ONCE) -> None:
        """Give messages back that are not at fault."""
        self.beat.let_go([message.lease for message in messages])
        self.counts["given back"] += snooze(messages, delay=delay, queue=self.queue)

    def take_over(self, messages: Sequence[Message]) -> None:
        """Give messages back whose earlier reads were another program's."""
        self.beat.let_go([message.lease for message in messages])
        self.counts["given back"] += take_over(messages, queue=self.queue)

    def _call(self, jobs: Sequence[LiveJob]) -> Vectors:
        try:
            answer = self.provider.embed([job.content for job in jobs])
        except ProviderError:
            raise
        except Exception as error:
            log.exception("The provider %s failed in an unforeseen way", self.provider.model)
            raise ProviderUnavailable(f"{type(error).__name__}: {error}") from error
        pipeline_step.send(sender=FileState, using=self.queue.using, step="vectors made")
        return check_answer(answer, count=len(jobs), dimensions=self.provider.dimensions)

    def _unavailable(self, jobs: Sequence[LiveJob], error: ProviderUnavailable) -> None:
        self.tripped = True
        if isinstance(error, RateLimited):
            self.breaker.trip(self.permit, reason=said(error), pause=error.retry_after)
            self._give_back(jobs, delay=error.retry_after)
        elif isinstance(error, ProviderMisconfigured):
            self.breaker.trip(self.permit, reason=said(error))
            self._give_back(jobs)
        else:
            self.breaker.failed(self.permit, reason=said(error))
            if self.permit.probe:
                self._give_back(jobs)  # the breaker sent it ahead: the outage is not its fault
            else:
                self.retry(jobs, reason=Reason.FAILED, error=said(error))

    def _halve(self, jobs: Sequence[LiveJob], error: InputRejected | BadAnswer) -> None:
        if len(jobs) > 1:
            middle = len(jobs) // 2
            self.embed(jobs[:middle])
            self.embed(jobs[middle:])
        elif isinstance(error, InputRejected):
            self.bury([Grave.of_job(jobs[0], reason=Reason.REJECTED, error=said(error))])
        else:
            self.retry(jobs, reason=Reason.BAD_ANSWER, error=said(error))

    def _commit(self, jobs: Sequence[LiveJob], vectors: Vectors) -> None:
        """Commit; a lock that did not come in time is waited for again, since the vectors are paid for.

        In the end it is not: the jobs of files that somebody goes on holding are given back, the others are done.
        """
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            is_last = attempt == COMMIT_ATTEMPTS
            try:
                self.counts += commit_vectors(
                    jobs=jobs, vectors=vectors, model=self.provider.model, queue=self.queue, wait=not is_last
                )
            except OperationalError:
                if is_last or not connections[self.queue.using].is_usable():
                    raise
            else:
                if is_last:
                    self._give_back(jobs, delay=conf.embedding_lease())
                return

    def _give_back(self, jobs: Sequence[LiveJob], *, delay: timedelta = AT_ONCE) -> None:
        self.snooze([job.job.message for job in jobs], delay=delay)
