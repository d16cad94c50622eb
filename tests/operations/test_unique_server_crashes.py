"""The server stops in the middle and is started again: the operation is run again and completes."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from django.db import connections
from psycopg import IsolationLevel, OperationalError
from pytest_django import DjangoDbBlocker

from tests.databases import Database
from tests.operations.books import make_table, some_books
from tests.operations.ownserver import OwnServer, own_server
from tests.operations.test_unique_crashes import STEPS, assert_completes, invalid, start
from tests.waiting import eventually

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(django_db_blocker: DjangoDbBlocker) -> Iterator[OwnServer]:
    with django_db_blocker.unblock(), own_server("crashing") as server:
        yield server


@pytest.fixture
def dirty(server: OwnServer, django_db_blocker: DjangoDbBlocker) -> Iterator[Database]:
    with django_db_blocker.unblock(), server.database() as database:
        make_table()
        some_books(2000, duplicates=300)
        yield database


def assert_completes_after_a_restart(server: OwnServer, stopped: int) -> None:
    server.start_again(stopped)
    connections.close_all()
    assert_completes()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL], ids=["immediate shutdown", "killed"])
def test_a_server_that_stops_at_a_step_comes_back_to_what_the_next_run_completes(
    server: OwnServer, dirty: Database, step: str, how: signal.Signals
) -> None:
    with start(dirty, step) as process:
        stopped = server.stop(how)
        _, errors = process.communicate("go on\n", timeout=60)

    assert process.returncode != 0
    assert "OperationalError" in errors
    assert_completes_after_a_restart(server, stopped)


def test_a_server_that_stops_while_the_index_is_built_comes_back_to_what_the_next_run_completes(
    server: OwnServer, dirty: Database
) -> None:
    older = dirty.connect()
    older.isolation_level = IsolationLevel.REPEATABLE_READ
    older.execute("SELECT count(*) FROM integrity_run")  # a snapshot: the build has to wait for it
    with start(dirty, "before the build") as process:
        assert process.stdin is not None
        process.stdin.write("go on\n")
        process.stdin.flush()
        eventually(lambda: invalid() == ["one_per_shelf"])
        stopped = server.stop(signal.SIGQUIT)
        process.communicate(timeout=60)
    with pytest.raises(OperationalError):
        older.execute("SELECT 1")

    server.start_again(stopped)
    connections.close_all()
    assert invalid() == ["one_per_shelf"]
    assert_completes()
