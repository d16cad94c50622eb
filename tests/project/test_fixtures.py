"""The fixtures that all other tests stand on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection

from tests.commands import CommandResult
from tests.databases import Database


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_has_a_fresh_database_and_its_commits_are_seen_by_others(database: Database, attempt: int) -> None:
    assert not User.objects.exists()

    User.objects.create(username="somebody")

    assert connection.vendor == database.vendor
    assert database.execute("SELECT username FROM auth_user") == [("somebody",)]


def test_an_empty_database_holds_nothing(empty_database: Database) -> None:
    assert connection.introspection.table_names() == []


def test_a_command_runs_as_a_process_of_its_own(database: Database) -> None:
    result = database.manage("shell", "-v0", "-c", "from django.contrib.auth.models import User; User.objects.create()")

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert User.objects.count() == 1


def test_a_command_reads_its_input(sqlite_database: Database) -> None:
    result = sqlite_database.manage("flush", input="no\n")

    assert "Flush cancelled" in result.stdout


def test_a_started_command_can_be_killed(database: Database) -> None:
    with database.popen("shell", "-v0", "-c", "input()", stdin=-1) as process:
        process.kill()

    assert process.returncode == -9


def test_connections_are_independent(database: Database) -> None:
    with contextlib.closing(database.connect()) as one, contextlib.closing(database.connect()) as other:
        one.execute("INSERT INTO auth_group (name) VALUES ('unseen')")

        assert other.execute("SELECT count(*) FROM auth_group").fetchall() == [(0,)]


def test_a_command_in_this_process_says_how_it_ended(
    sqlite_database: Database, call: Callable[..., CommandResult]
) -> None:
    assert call("showmigrations", "auth").code == 0
    assert "auth" in call("showmigrations", "auth").out
    assert call("showmigrations", "--nonsense").code == 2
    assert call("showmigrations", "no_such_app").code == 2
    assert call("migrate", "no_such_app").code == 1
