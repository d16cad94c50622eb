"""Asynchronous twins of the write paths, made as Django makes its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

P = ParamSpec("P")
R = TypeVar("R")


def asynchronous(write: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return a coroutine function that does the same on Django's thread for database work."""
    return sync_to_async(write, thread_sensitive=True)
