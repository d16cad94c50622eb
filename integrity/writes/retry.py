"""Run a transaction again when it lost against another one: bounded, with jitter."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import stamina
from django.db import Error, IntegrityError, connections

from integrity.backends.writing import get_upserts

T = TypeVar("T")

ATTEMPTS = 40
SECONDS = 60.0


def retried(work: Callable[[], T], *, using: str, key: tuple[str, ...] = ()) -> T:
    """Return what ``work`` returns, run again after a serialization failure, a deadlock or a locked database.

    The same goes for a spurious violation of a constraint on the columns ``key`` (a concurrent index build).
    Inside a caller's transaction it runs once: only the caller can begin that again.

    Raises:
        Error: what the last attempt raised, or what no further attempt can cure.
    """
    if connections[using].in_atomic_block:
        return work()
    upserts = get_upserts(using=using)

    def is_transient(error: Exception) -> bool:
        return isinstance(error, Error) and upserts.is_transient(error, key=key)

    # The first waits are about as long as a batch takes.
    attempts = stamina.retry_context(
        on=is_transient, attempts=ATTEMPTS, timeout=SECONDS, wait_initial=0.01, wait_max=1.0, wait_jitter=0.1
    )
    for attempt in attempts:
        with attempt:
            return work()
    raise AssertionError("stamina raises the last error")  # pragma: no cover


def despite_rivals(work: Callable[[], T], *, using: str) -> T:
    """Return what ``work`` returns, run again at once while it meets rows that others are just inserting.

    The same row, inserted by two writers at once, can be refused for another of its keys than the one that an upsert
    is for. Once the other one is there, the upsert finds it by its own key. What is refused for the same reason twice
    is refused. ``work`` is one transaction, or a part of one that is taken back when it fails.

    Raises:
        Error: what the last attempt raised.
    """
    upserts, refused = get_upserts(using=using), set[str]()

    def is_new(error: Exception) -> bool:
        known = str(error) in refused
        refused.add(str(error))
        return isinstance(error, IntegrityError) and upserts.may_meet_its_own_row(error) and not known

    for attempt in stamina.retry_context(on=is_new, attempts=None, timeout=SECONDS, wait_initial=0, wait_max=0):
        with attempt:
            return work()
    raise AssertionError("stamina raises the last error")  # pragma: no cover
