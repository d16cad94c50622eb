"""A fresh, migrated database on the tests' server for one benchmark, and a stopwatch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
os.environ.setdefault("TEST_SERVER_ON_DISK", "1")  # ten million rows take more than the memory can spare
django.setup()

from django.core.management import call_command  # noqa: E402 - Django first

from tests.databases import Database, PostgresMaker, as_default  # noqa: E402


@contextmanager
def postgresql() -> Iterator[Database]:
    """Make a database, point Django at it, and drop it at the end."""
    maker = PostgresMaker()
    database = maker.make()
    try:
        with as_default(database):
            call_command("migrate", verbosity=0, interactive=False)
            yield database
    finally:
        maker.drop(database)


def seconds(work: Callable[[], object]) -> float:
    """Return how long ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
