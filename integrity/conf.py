"""The app's settings: one function each, read when called, default and unit in its docstring."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import nan
from typing import Any

from django.conf import settings
from django.db.models import Model

from integrity.exceptions import IntegrityAppError

OURS = "integrity"
"""The app's label."""
SYSTEMS = ("embeddings", "clustering", "patterns", "workflows", "files")


class InvalidSetting(IntegrityAppError, ValueError):
    """A setting has a value that cannot be used."""


def systems() -> tuple[str, ...]:
    """``INTEGRITY_SYSTEMS``: which of the five mirrored systems this project has. Default: none.

    A system that is not named here has its models but neither tables, rules, audits nor admin pages.
    """
    return tuple(getattr(settings, "INTEGRITY_SYSTEMS", ()))


def system_of(model: type[Model]) -> str | None:
    """``INTEGRITY_SYSTEMS`` names it: the system of a mirrored model, which the module that defines it is called."""
    name = model.__module__.rpartition(".")[2]
    return name if model._meta.app_label == OURS and name in SYSTEMS else None


def most_groups_per_batch() -> int:
    """``INTEGRITY_BATCH_SIZE``: how many duplicate groups one transaction treats at most. Default: 5000.

    Batches adapt to 100 ms each; this is their upper end.
    """
    return int(_number("INTEGRITY_BATCH_SIZE", 5000, least=1, most=1_000_000))


def lock_timeout() -> timedelta:
    """``INTEGRITY_LOCK_TIMEOUT``: the longest wait for any lock of PostgreSQL, in seconds, from 0.001. Default: 1.

    Who waits on SQLite holds nobody up: there the connection's own timeout counts.
    """
    return timedelta(seconds=_number("INTEGRITY_LOCK_TIMEOUT", 1, least=0.001, most=86_400))


def plan_expiry() -> timedelta:
    """``INTEGRITY_PLAN_EXPIRY``: how long a plan may be applied after it was made, in hours. Default: 24."""
    return timedelta(hours=_number("INTEGRITY_PLAN_EXPIRY", 24, least=0, most=1_000_000))


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


def has_chosen_provider() -> bool:
    """``INTEGRITY_EMBEDDING_PROVIDER``: whether it names a provider; the default one is no model."""
    return "name" in dict(getattr(settings, "INTEGRITY_EMBEDDING_PROVIDER", {}))


def embedding_lease() -> timedelta:
    """``INTEGRITY_EMBEDDING_LEASE``: how long a dead worker's messages stay hidden, in seconds. Default: 60.

    A living worker extends its lease every third of it.
    """
    return timedelta(seconds=_number("INTEGRITY_EMBEDDING_LEASE", 60, least=1, most=86_400))


def embedding_attempts() -> int:
    """``INTEGRITY_EMBEDDING_ATTEMPTS``: failures after which a message is given up. Default: 5."""
    return int(_number("INTEGRITY_EMBEDDING_ATTEMPTS", 5, least=1, most=1_000_000))


def chunk_retention() -> timedelta:
    """``INTEGRITY_CHUNK_RETENTION``: how long replaced chunks are kept, in days. Default: 30."""
    return timedelta(days=_number("INTEGRITY_CHUNK_RETENTION", 30, least=0, most=100_000))


def archive_retention() -> timedelta:
    """``INTEGRITY_ARCHIVE_RETENTION``: how long archived messages and closed dead letters are kept, in days.

    Default: 30.
    """
    return timedelta(days=_number("INTEGRITY_ARCHIVE_RETENTION", 30, least=0, most=100_000))


def keep_metric_history() -> bool:
    """``INTEGRITY_KEEP_METRIC_HISTORY``: whether measurements are kept that were replaced or removed. Default: no.

    The metric itself is always the newest one; trends need the others too.
    """
    return bool(getattr(settings, "INTEGRITY_KEEP_METRIC_HISTORY", False))


NUMBERS: tuple[Callable[[], object], ...] = (
    most_groups_per_batch,
    lock_timeout,
    plan_expiry,
    embedding_lease,
    embedding_attempts,
    chunk_retention,
    archive_retention,
)
"""The settings that have a range."""


def _number(name: str, default: float, *, least: float, most: float) -> float:
    value = getattr(settings, name, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = nan
    if not least <= number <= most:
        raise InvalidSetting(f"{name} is {value!r}. Give a number from {least} to {most}.")
    return number
