"""What becomes of messages that were not done: given back to be tried again, or given up as dead letters."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import DataError

from integrity import conf
from integrity.backends import get_rows
from integrity.models import DeadLetter, FileState
from integrity.pipeline.jobs import BadMessage, Job
from integrity.pipeline.states import lock_to_write
from integrity.pipeline.triage import LiveJob
from integrity.queue import KeyedQueue, Message, Return

log = logging.getLogger(__name__)

ATTEMPTS: Final = "attempts"
SNOOZES: Final = "snoozes"
FIRST_PAUSE: Final = timedelta(seconds=2)
LONGEST_PAUSE: Final = timedelta(minutes=10)
PATIENCE: Final = timedelta(seconds=10)

SUSPECT: Final = 3  # reads without a word: the third is done alone
CONDEMNED: Final = 5  # and this one not at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Grave:
    """A message to be given up, what is known of it, and why."""

    message: Message
    reason: DeadLetter.Reason
    error: str
    chunk_id: UUID | None = None
    file_id: UUID | None = None
    version: int | None = None
    model: str = ""

    @classmethod
    def of_job(cls, item: LiveJob | Job, *, reason: DeadLetter.Reason, error: str) -> Grave:
        """Return the grave of a job."""
        message, model = (item.job.message, item.job.model) if isinstance(item, LiveJob) else (item.message, item.model)
        return cls(
            message=message,
            reason=reason,
            error=error,
            chunk_id=item.chunk_id,
            file_id=item.file_id,
            version=item.version,
            model=model,
        )

    @classmethod
    def of_message(cls, bad: BadMessage) -> Grave:
        """Return the grave of a message that is no job."""
        return cls(message=bad.message, reason=bad.reason, error=bad.error)


def unaccounted(message: Message) -> int:
    """How many of a message's reads, this one included, ended without a word: by a crash, or a lease that ran out."""
    return message.read_ct - message.count(ATTEMPTS) - message.count(SNOOZES)


def read_by_others(job: Job) -> bool:
    """Whether a job is of the original shape, has been read often, and bears no mark of ours."""
    marked = job.message.count(ATTEMPTS) or job.message.count(SNOOZES)
    return job.version is None and not marked and unaccounted(job.message) >= SUSPECT


def take_over(messages: Sequence[Message], *, queue: KeyedQueue) -> int:
    """Give messages back whose reads were somebody else's: from here on they count. Returns how many were ours."""
    return queue.give_back([Return(lease=m.lease, delay=timedelta(0), headers={SNOOZES: m.read_ct}) for m in messages])


def back_off(attempts: int) -> timedelta:
    """How long to wait after so many failures: doubling, with full jitter in the upper half."""
    pause = min(FIRST_PAUSE * 2 ** min(attempts - 1, 20), LONGEST_PAUSE)
    return timedelta(seconds=random.uniform(0.5, 1.0) * pause.total_seconds())  # noqa: S311 - no secret


def snooze(messages: Sequence[Message], *, delay: timedelta, queue: KeyedQueue) -> int:
    """Give messages back that are not at fault; it does not count as an attempt. Returns how many were still ours."""
    return queue.give_back(
        [Return(lease=m.lease, delay=delay, headers={SNOOZES: m.count(SNOOZES) + 1}) for m in messages]
    )


def retry(items: Sequence[LiveJob | Job], *, reason: DeadLetter.Reason, error: str, queue: KeyedQueue) -> list[Grave]:
    """Give failed jobs back, later each time; return the graves of those that have failed often enough."""
    returns, graves = [], []
    for item in items:
        message = item.job.message if isinstance(item, LiveJob) else item.message
        attempts = message.count(ATTEMPTS) + 1
        if attempts >= conf.embedding_attempts():
            graves.append(Grave.of_job(item, reason=reason, error=error))
        else:
            headers = {ATTEMPTS: attempts}
            returns.append(Return(lease=message.lease, delay=back_off(attempts), headers=headers))
    queue.give_back(returns)
    return graves


def bury(graves: Sequence[Grave], *, queue: KeyedQueue) -> int:
    """Archive messages and open a dead letter for each, in one transaction; return how many.

    A job whose file has changed since is archived as superseded instead. What somebody else has read since is left
    to them. One whose file somebody is changing is given back for as long as a lease, and one that the database does
    not take is logged and left: the others shall not wait for it. Locks as in Note [Lock order].
    """
    if not graves:
        return 0
    try:
        return _bury(graves, queue=queue)
    except DataError as error:
        if len(graves) == 1:
            log.warning("Message %d cannot be buried and is left: %s", graves[0].message.msg_id, error)
            return 0
    return sum(bury([grave], queue=queue) for grave in graves)


def _bury(graves: Sequence[Grave], *, queue: KeyedQueue) -> int:
    with get_rows(using=queue.using).batch(lock_timeout=PATIENCE):
        files = {grave.file_id for grave in graves if grave.file_id}
        current = lock_to_write(files, wait=False, using=queue.using)
        states = FileState.objects.using(queue.using).filter(file_id__in=files - current.keys())
        held_files = set(states.values_list("file_id", flat=True))
        busy = [grave.message for grave in graves if grave.file_id in held_files]
        snooze(busy, delay=conf.embedding_lease(), queue=queue)
        graves = [grave for grave in graves if grave.file_id not in held_files]
        stale = [g for g in graves if g.version is not None and g.file_id and current.get(g.file_id, 0) > g.version]
        queue.archive_leased([grave.message.lease for grave in stale], outcome="superseded")
        dead = [grave for grave in graves if grave not in stale]
        held = set(queue.archive_leased([grave.message.lease for grave in dead], outcome="dead"))
        letters = [_letter(grave, queue=queue) for grave in dead if grave.message.msg_id in held]
        DeadLetter.objects.using(queue.using).bulk_create(letters)
    return len(letters)


def _letter(grave: Grave, *, queue: KeyedQueue) -> DeadLetter:
    message = grave.message
    counted = grave.reason in (DeadLetter.Reason.FAILED, DeadLetter.Reason.BAD_ANSWER, DeadLetter.Reason.REJECTED)
    return DeadLetter(
        queue=queue.name,
        msg_id=message.msg_id,
        chunk_id=grave.chunk_id,
        file_id=grave.file_id,
        version=grave.version,
        model=grave.model,
        reason=grave.reason,
        error=grave.error[:2000],
        attempts=message.count(ATTEMPTS) + counted,
        read_ct=message.read_ct,
        message=message.body,
    )
