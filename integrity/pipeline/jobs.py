"""What a message says: one chunk to be embedded by one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS

from integrity import conf
from integrity.exceptions import IntegrityAppError
from integrity.models import DeadLetter
from integrity.queue import KeyedQueue, Lease, Message
from integrity.queue.advice import queue_option

JOB_TYPE: Final = "generate_embedding"
LARGEST_MESSAGE: Final = 1_000_000  # bytes; ours have about 200, the original's carry a chunk's text


class QueueElsewhere(IntegrityAppError):
    """The queue and the files are in different databases, so that no transaction can hold both."""


class Job(NamedTuple):
    """One chunk to be embedded. Messages of the original shape know no version (None), and no model (empty)."""

    message: Message
    chunk_id: UUID
    file_id: UUID | None
    version: int | None
    model: str

    @property
    def lease(self) -> Lease:
        """The lease on the job's message."""
        return self.message.lease


@dataclass(frozen=True, slots=True, kw_only=True)
class BadMessage:
    """A message that cannot be a job, and why."""

    message: Message
    reason: DeadLetter.Reason
    error: str


def job_queue(*, name: str | None = None, using: str = DEFAULT_DB_ALIAS) -> KeyedQueue:
    """Return the queue of embedding jobs: one job per chunk and model, cancelled by file."""
    name = conf.embedding_queue() if name is None else name
    return KeyedQueue(name=name, using=using, key=("file_id", "chunk_id", "model"))


def command_for(action: str, *, queue: str, using: str) -> str:
    """What to type to have a queue looked after: ``manage.py embedding_queue --queue jobs orphans``."""
    database = "" if using == DEFAULT_DB_ALIAS else f" --database {using}"
    other = "" if queue == conf.embedding_queue() else queue_option(queue)
    return f"manage.py embedding_queue{database}{other} {action}"


def queue_beside(queue: KeyedQueue | None, *, using: str) -> KeyedQueue:
    """Return the queue, by default the one that the settings name, in the database of the files.

    Raises:
        QueueElsewhere: it is in another one.
    """
    queue = queue or job_queue(using=using)
    if queue.using != using:
        raise QueueElsewhere(
            f"Queue {queue.name!r} is in database {queue.using!r}, the files are in {using!r}: "
            f"give using={queue.using!r}, or the queue of {using!r}."
        )
    return queue


def parse(message: Message) -> Job | BadMessage:
    """Read a message."""
    if message.body is None and message.size > LARGEST_MESSAGE:
        error = f"The message has {message.size} bytes; {LARGEST_MESSAGE} are the most."
        return BadMessage(message=message, reason=DeadLetter.Reason.TOO_LARGE, error=error)
    body = message.body
    if message.fault or not isinstance(body, dict):
        error = f"The message is {type(body).__name__}, not an object."
        if message.fault:
            error = f"The message cannot be read: {message.fault}."
        return BadMessage(message=message, reason=DeadLetter.Reason.MALFORMED, error=error)
    if body.get("job_type") != JOB_TYPE:
        error = f"job_type is {str(body.get('job_type'))[:100]!r}; this worker knows {JOB_TYPE!r}."
        return BadMessage(message=message, reason=DeadLetter.Reason.UNKNOWN_TYPE, error=error)
    try:
        return Job(
            message=message,
            chunk_id=_uuid(body, "chunk_id"),
            file_id=_uuid(body, "file_id", read=_file_id) if body.get("file_id") is not None else None,
            version=_whole_number(body, "version"),
            model=_text(body, "model"),
        )
    except ValueError as error:
        return BadMessage(message=message, reason=DeadLetter.Reason.MALFORMED, error=str(error))


_file_id: Final = lru_cache(maxsize=1000)(UUID)
"""The jobs of a batch name few files."""


def _uuid(body: dict[str, Any], name: str, *, read: Callable[[str], UUID] = UUID) -> UUID:
    value: Any = body.get(name)
    try:
        return read(value)
    except (TypeError, AttributeError, ValueError):
        raise ValueError(f"{name} is {str(value)[:100]!r}, not a UUID.") from None


def _whole_number(body: dict[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 31):
        raise ValueError(f"{name} is {str(value)[:100]!r}, not a whole number.")
    return value


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{name} is {str(value)[:100]!r}, not text.")  # noqa: TRY004 - one error for all faults
    return value
