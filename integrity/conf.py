"""The app's settings: one function each, read when called, default and unit in its docstring."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings

SYSTEMS = ("embeddings", "clustering", "patterns", "workflows", "files")


def systems() -> tuple[str, ...]:
    """``INTEGRITY_SYSTEMS``: which of the five mirrored systems this project has. Default: none.

    A system that is not named here has its models but neither tables, rules, audits nor admin pages.
    """
    return tuple(getattr(settings, "INTEGRITY_SYSTEMS", ()))


def most_groups_per_batch() -> int:
    """``INTEGRITY_BATCH_SIZE``: how many duplicate groups one transaction treats at most. Default: 5000.

    Batches adapt to 100 ms each; this is their upper end.
    """
    return int(getattr(settings, "INTEGRITY_BATCH_SIZE", 5000))


def lock_timeout() -> timedelta:
    """``INTEGRITY_LOCK_TIMEOUT``: the longest wait for any lock, in seconds. Default: 1."""
    return timedelta(seconds=float(getattr(settings, "INTEGRITY_LOCK_TIMEOUT", 1)))


def plan_expiry() -> timedelta:
    """``INTEGRITY_PLAN_EXPIRY``: how long a plan may be applied after it was made, in hours. Default: 24."""
    return timedelta(hours=float(getattr(settings, "INTEGRITY_PLAN_EXPIRY", 24)))


def embedding_queue() -> str:
    """``INTEGRITY_EMBEDDING_QUEUE``: the PGMQ queue of embedding jobs. Default: ``embeddings``."""
    return str(getattr(settings, "INTEGRITY_EMBEDDING_QUEUE", "embeddings"))


def embedding_provider() -> tuple[str, dict[str, Any]]:
    """``INTEGRITY_EMBEDDING_PROVIDER``: who makes vectors, as ``{"name": ..., options}``. Default: ``offline``.

    The name is ``offline``, ``openai``, ``sentence-transformers`` or the dotted path of a class; all other entries
    are the keyword arguments of that class.
    """
    options = dict(getattr(settings, "INTEGRITY_EMBEDDING_PROVIDER", {}))
    return str(options.pop("name", "offline")), options


def embedding_lease() -> timedelta:
    """``INTEGRITY_EMBEDDING_LEASE``: how long a dead worker's messages stay hidden, in seconds. Default: 60.

    A living worker extends its lease every third of it.
    """
    return timedelta(seconds=float(getattr(settings, "INTEGRITY_EMBEDDING_LEASE", 60)))


def embedding_attempts() -> int:
    """``INTEGRITY_EMBEDDING_ATTEMPTS``: failures after which a message is given up. Default: 5."""
    return int(getattr(settings, "INTEGRITY_EMBEDDING_ATTEMPTS", 5))


def chunk_retention() -> timedelta:
    """``INTEGRITY_CHUNK_RETENTION``: how long replaced chunks are kept, in days. Default: 30."""
    return timedelta(days=float(getattr(settings, "INTEGRITY_CHUNK_RETENTION", 30)))


def archive_retention() -> timedelta:
    """``INTEGRITY_ARCHIVE_RETENTION``: how long archived messages and closed dead letters are kept, in days.

    Default: 30.
    """
    return timedelta(days=float(getattr(settings, "INTEGRITY_ARCHIVE_RETENTION", 30)))


def keep_metric_history() -> bool:
    """``INTEGRITY_KEEP_METRIC_HISTORY``: whether measurements are kept that were replaced or removed. Default: no.

    The metric itself is always the newest one; trends need the others too.
    """
    return bool(getattr(settings, "INTEGRITY_KEEP_METRIC_HISTORY", False))
