"""The pipeline's books: which version of a file is current, dead letters, circuit breakers, who did which chore when.

``course_files`` and ``file_chunks`` are the owner's tables; what the pipeline must know beyond them is here
(docs/decisions/0051-side-tables.md).
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class FileState(models.Model):
    """Which version of a file's chunks is being embedded, and which one is searched.

    The row's lock is the file's lock: FOR NO KEY UPDATE to change a file, FOR SHARE to write its embeddings.
    """

    file_id = models.UUIDField(primary_key=True)
    current_version = models.IntegerField(default=0)
    """The newest version; 0 before the first one. It only rises."""
    serving_version = models.IntegerField(null=True)
    """The version that search reads: complete, or NULL."""
    model = models.TextField(default="")
    """The embedding model of the current version."""
    content_hash = models.CharField(max_length=64, default="")
    """What the current version was made of: chunks, chunker and model."""
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "integrity_file_state"
        verbose_name = "file state"

    def __str__(self) -> str:
        return f"{self.file_id}: version {self.current_version}, serving {self.serving_version}"


class DeadLetter(models.Model):
    """A message that was given up, and why. Open until it is redriven or has become pointless."""

    class Reason(models.TextChoices):
        """Why a message was given up."""

        MALFORMED = "malformed"
        TOO_LARGE = "too_large"
        UNKNOWN_TYPE = "unknown_job_type"
        REJECTED = "rejected"
        BAD_ANSWER = "bad_answer"
        FAILED = "failed"
        CRASH_LOOP = "crash_loop"
        WRONG_MODEL = "wrong_model"

    queue = models.CharField(max_length=47)
    msg_id = models.BigIntegerField()
    chunk_id = models.UUIDField(null=True)
    file_id = models.UUIDField(null=True)
    version = models.IntegerField(null=True)
    model = models.TextField(default="")
    reason = models.CharField(max_length=20, choices=Reason)
    error = models.TextField(default="")
    attempts = models.IntegerField(default=0)
    read_ct = models.IntegerField(default=0)
    message = models.JSONField(null=True)
    """The message, unless it was too large; the archive keeps it whole in any case."""
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    resolution = models.CharField(max_length=20, default="")
    """``redriven`` or ``superseded`` once it is closed."""

    class Meta:
        db_table = "integrity_dead_letter"
        verbose_name = "dead letter"
        indexes = [
            models.Index(fields=["chunk_id"], name="integrity_dead_chunk", condition=models.Q(closed_at=None)),
            models.Index(fields=["file_id"], name="integrity_dead_file", condition=models.Q(closed_at=None)),
        ]

    def __str__(self) -> str:
        return f"message {self.msg_id}: {self.reason}"


class CircuitBreaker(models.Model):
    """Whether a provider may be called, agreed upon by all workers. ``epoch`` is what they compare and set."""

    class State(models.TextChoices):
        """Of a breaker."""

        CLOSED = "closed"
        OPEN = "open"
        HALF_OPEN = "half_open"

    name = models.CharField(max_length=200, primary_key=True)
    state = models.CharField(max_length=10, choices=State, default=State.CLOSED)
    epoch = models.BigIntegerField(default=0)
    failures = models.IntegerField(default=0)
    """In a row, while closed."""
    openings = models.IntegerField(default=0)
    """In a row, without a success between them."""
    until = models.DateTimeField(null=True)
    """When an open breaker lets a probe through, or when the probe's lease ends."""
    reason = models.TextField(default="")

    class Meta:
        db_table = "integrity_breaker"
        verbose_name = "circuit breaker"

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"


class Chore(models.Model):
    """When a chore of the workers was last done, so that one of them does it when it is due."""

    name = models.CharField(max_length=100, primary_key=True)
    done_at = models.DateTimeField()

    class Meta:
        db_table = "integrity_chore"
        verbose_name = "chore"

    def __str__(self) -> str:
        return f"{self.name} at {self.done_at:%Y-%m-%d %H:%M:%S}"
