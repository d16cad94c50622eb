"""Waiting in tests: for a condition, with a deadline, and never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 30.0


def eventually(condition: Callable[[], object], *, patience: float = PATIENCE) -> None:
    """Return once ``condition`` holds.

    Raises:
        AssertionError: it did not hold within ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience} s: {condition}"
        time.sleep(0.02)
