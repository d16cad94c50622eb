"""Threads, each with connections of its own; an error in one fails the test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

A = TypeVar("A")
R = TypeVar("R")


def race(worker: Callable[[A], R], arguments: Iterable[A]) -> list[R]:
    """Run ``worker`` with each argument in a thread of its own and return what they returned, in order.

    Raises:
        Exception: whatever a worker raised.
    """
    arguments = list(arguments)

    def run(argument: A) -> R:
        try:
            return worker(argument)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=len(arguments)) as threads:
        futures = [threads.submit(run, argument) for argument in arguments]
    return [future.result() for future in futures]
