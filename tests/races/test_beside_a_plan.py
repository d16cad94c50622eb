"""Writers beside a preview on SQLite, where one lock is for the whole file: the search must not hold it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from integrity.dedupe import DedupeRule, make_plan
from tests.databases import Database
from tests.ponies.models import Contact

ADDRESSES = DedupeRule(model="ponies.Contact", fields=("address",), name="one contact per address")


@pytest.fixture
def no_index_on_the_key(sqlite_ponies: Database) -> Database:
    sqlite_ponies.execute("DROP INDEX one_contact_per_address")
    return sqlite_ponies


def instructions_of_a_plan(database: Database, *, pairs: int) -> Counter[str]:
    """Count, in thousands of SQLite's instructions, when another could have begun to write and when not."""
    Contact.objects.all().delete()
    Contact.objects.bulk_create(Contact(address=f"{n // 2}@example.org") for n in range(2 * pairs))
    connection.ensure_connection()
    counted: Counter[str] = Counter()
    with contextlib.closing(sqlite3.connect(database.path, timeout=0, isolation_level=None)) as other:

        def look() -> int:
            with contextlib.suppress(sqlite3.OperationalError):
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
                counted["free"] += 1
            counted["all"] += 1
            return 0

        raw: Any = connection.connection
        raw.set_progress_handler(look, 1000)
        try:
            make_plan(ADDRESSES, apps=apps, using="default")
        finally:
            raw.set_progress_handler(None, 0)
    return counted


def test_others_can_write_during_most_of_a_preview(no_index_on_the_key: Database) -> None:
    counted = instructions_of_a_plan(no_index_on_the_key, pairs=1000)

    assert counted["free"] > counted["all"] * 0.8


def test_the_work_of_a_preview_grows_as_the_table_does(no_index_on_the_key: Database) -> None:
    once = instructions_of_a_plan(no_index_on_the_key, pairs=500)
    twice = instructions_of_a_plan(no_index_on_the_key, pairs=1000)

    assert twice["all"] < once["all"] * 2.5
