"""One batch of live jobs: call the provider, commit, and find the culprit where one text spoils the whole."""

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
from integrity.pipeline.failures import Grave, bury, retry, snooze
from integrity.pipeline.heartbeat import heartbeat
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
)
from integrity.pipeline.triage import LiveJob
from integrity.queue import KeyedQueue
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
    counts: Counter[str] = field(default_factory=Counter)
    tripped: bool = False
    """The provider is in trouble: what is left of the batch is given back."""

    def embed(self, jobs: Sequence[LiveJob]) -> None:
        """Bring these jobs to an end, or give them back. Raises nothing of the provider's."""
        if self.stop.is_set() or self.tripped:
            self._snooze(jobs)
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

    def _call(self, jobs: Sequence[LiveJob]) -> Vectors:
        with heartbeat([job.lease for job in jobs], lease_time=conf.embedding_lease(), queue=self.queue):
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
            self.breaker.trip(self.permit, reason=str(error), pause=error.retry_after)
            self._snooze(jobs, delay=error.retry_after)
        elif isinstance(error, ProviderMisconfigured):
            self.breaker.trip(self.permit, reason=str(error))
            self._snooze(jobs)
        else:
            self.breaker.failed(self.permit, reason=str(error))
            if self.permit.probe:
                self._snooze(jobs)  # the breaker sent it ahead: the outage is not its fault
            else:
                self._retry(jobs, reason=Reason.FAILED, error=error)

    def _halve(self, jobs: Sequence[LiveJob], error: InputRejected | BadAnswer) -> None:
        if len(jobs) > 1:
            middle = len(jobs) // 2
            self.embed(jobs[:middle])
            self.embed(jobs[middle:])
        elif isinstance(error, InputRejected):
            grave = Grave.of_job(jobs[0], reason=Reason.REJECTED, error=str(error))
            self.counts["dead"] += bury([grave], queue=self.queue)
        else:
            self._retry(jobs, reason=Reason.BAD_ANSWER, error=error)

    def _commit(self, jobs: Sequence[LiveJob], vectors: Vectors) -> None:
        """Commit; a lock that did not come in time is waited for again, since the vectors are paid for."""
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            try:
                self.counts += commit_vectors(jobs=jobs, vectors=vectors, model=self.provider.model, queue=self.queue)
            except OperationalError:
                if attempt == COMMIT_ATTEMPTS or not connections[self.queue.using].is_usable():
                    raise
            else:
                return

    def _retry(self, jobs: Sequence[LiveJob], *, reason: DeadLetter.Reason, error: ProviderError) -> None:
        graves = retry(jobs, reason=reason, error=str(error), queue=self.queue)
        self.counts["retry"] += len(jobs) - len(graves)
        self.counts["dead"] += bury(graves, queue=self.queue)

    def _snooze(self, jobs: Sequence[LiveJob], *, delay: timedelta = AT_ONCE) -> None:
        self.counts["given back"] += snooze([job.job.message for job in jobs], delay=delay, queue=self.queue)
