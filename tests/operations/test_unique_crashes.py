"""Killed anywhere: run again, it completes; no broken index, no guard, no changed timeout stays behind."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.db import connection
from psycopg import IsolationLevel

from integrity.backends import get_catalogue
from project.local import CHECKOUT
from tests.databases import Database
from tests.operations.books import ids, make_table, some_books
from tests.operations.test_unique import add, assert_nothing_left_behind, assert_unique
from tests.waiting import eventually

# Where the process stops: the method that it has just entered.
STEPS = {
    "before the guard": "integrity.backends.postgresql.guards:Guard._create",
    "while the guard is filled": "integrity.backends.postgresql.guardkeys:GuardKeys._mark_many",
    "before duplicates are removed": "integrity.dedupe.plan:discard_stale_plans",
    "inside a batch": "integrity.dedupe.resolver:Resolver.resolve",
    "before the build": "integrity.backends.postgresql.builds:build",
    "before the constraint is attached": "integrity.backends.postgresql.unique:_Addition._close",
    "before the guard is dropped": "integrity.backends.postgresql.unique:drop_guard_now",
}

PROGRAM = """
import importlib, os, sys
import django
django.setup()
from tests.operations.test_unique import add
module, _, path = sys.argv[1].partition(":")
owner = importlib.import_module(module)
*inner, name = path.split(".")
for part in inner:
    owner = getattr(owner, part)
original = getattr(owner, name)
def stop(*args, **kwargs):
    print("stopped", flush=True)
    sys.stdin.readline()
    return original(*args, **kwargs)
setattr(owner, name, stop)
add().forwards()
"""


def start(database: Database, step: str) -> subprocess.Popen[str]:
    """Run the operation in a process of its own and return once it stands at the step."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, STEPS[step]],
        cwd=CHECKOUT,
        env=database.environment(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "stopped\n", process.stderr and process.stderr.read()
    return process


@pytest.fixture
def dirty(postgres_database: Database) -> Database:
    make_table()
    some_books(2000, duplicates=300)
    return postgres_database


def assert_completes() -> None:
    """Run the operation again, to the end."""
    add().forwards()

    assert ids() == list(range(2000))
    assert_unique()
    assert_nothing_left_behind()


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_process_leaves_what_the_next_one_completes(dirty: Database, step: str) -> None:
    with start(dirty, step) as process:
        process.kill()
    eventually(lambda: others(dirty) == [])

    assert_completes()


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_terminated_session_leaves_what_the_next_one_completes(dirty: Database, step: str) -> None:
    with start(dirty, step) as process:
        for pid in others(dirty):
            dirty.execute(f"SELECT pg_terminate_backend({pid})")
        eventually(lambda: others(dirty) == [])
        process.communicate("go on\n", timeout=60)  # it ends with an error, or connects again and finishes

    assert_completes()


def others(database: Database) -> list[int]:
    """The sessions on the database but ours."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (ours,) = cursor.fetchone()
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)"
    return [pid for (pid,) in database.execute(query, (ours,))]


def test_a_process_killed_while_the_index_is_built_leaves_what_the_next_one_completes(dirty: Database) -> None:
    with dirty.connect() as older:
        older.isolation_level = IsolationLevel.REPEATABLE_READ
        older.execute("SELECT count(*) FROM integrity_run")  # a snapshot: the build has to wait for it
        with start(dirty, "before the build") as process:
            assert process.stdin is not None
            process.stdin.write("go on\n")
            process.stdin.flush()
            eventually(lambda: invalid() == ["one_per_shelf"])
            process.kill()
        # client_connection_check_interval: the server notices within a second that nobody waits for the build
        eventually(lambda: len(others(dirty)) == 1)
        older.rollback()

    assert_completes()


def invalid() -> list[str]:
    return [index.name for index in get_catalogue(using="default").indexes("book") if not index.valid]
