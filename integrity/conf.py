"""The app's settings: one function each, read when called, default and unit in its docstring."""

from __future__ import annotations

from datetime import timedelta

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
