"""What manage.py says when the surroundings are at fault: one line, exit code 2, no traceback."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.databases import Database


def assert_one_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


@pytest.fixture
def nowhere(tmp_path: Path) -> Database:
    """A database that is not there."""
    return Database(vendor="sqlite", url=f"sqlite:///{tmp_path}/missing.db")


@pytest.mark.parametrize("command", ["help", "showmigrations", "migrate", "no_such_command"])
def test_a_malformed_url(nowhere: Database, command: str) -> None:
    result = nowhere.manage(command, env={"DATABASE_URL": "postgresql://me:secret@host:port/name"})

    assert_one_line(result, "DATABASE_URL is not a valid URL")
    assert "secret" not in result.stderr


@pytest.mark.parametrize("given", ["0", "-1", "many"])
def test_a_number_of_dimensions_that_is_none(nowhere: Database, given: str) -> None:
    result = nowhere.manage("embedding_worker", "--once", env={"EMBEDDING_DIMENSIONS": given})

    assert_one_line(result, "EMBEDDING_DIMENSIONS", repr(given), "from 1, such as 1536")


def test_a_malformed_list_of_systems(nowhere: Database) -> None:
    result = nowhere.manage("migrate", env={"INTEGRITY_SYSTEMS": "embeddings,nonsense"})

    assert_one_line(result, "INTEGRITY_SYSTEMS", "nonsense", "clustering")


def test_an_unreachable_server(nowhere: Database) -> None:
    result = nowhere.manage("migrate", env={"DATABASE_URL": "postgresql://me@127.0.0.1:1/name"})

    assert_one_line(result, "127.0.0.1", "port 1", "refused")


@pytest.mark.postgres
def test_a_missing_database(postgres_database: Database) -> None:
    url = postgres_database.url.replace("/test_", "/missing_")

    assert_one_line(postgres_database.manage("migrate", env={"DATABASE_URL": url}), "does not exist")


@pytest.mark.postgres
def test_a_missing_role(postgres_database: Database) -> None:
    url = postgres_database.url.replace("://", "://me:wrong@").replace("wrong@integrity@", "wrong@")

    result = postgres_database.manage("showmigrations", env={"DATABASE_URL": url})

    assert_one_line(result, "me")
    assert "wrong" not in result.stderr


def test_a_missing_file_is_not_made(nowhere: Database) -> None:
    assert_one_line(nowhere.manage("migrate"), "missing.db", "touch")
    assert not nowhere.path.exists()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert_one_line(Database(vendor="sqlite", url=f"sqlite:///{tmp_path}").manage("migrate"), "is a folder")


def test_a_name_that_is_too_long_for_a_file() -> None:
    url = f"sqlite:////tmp/{'x' * 300}.db"

    assert_one_line(Database(vendor="sqlite", url=url).manage("migrate"), "too long", "Correct DATABASE_URL")


def test_a_file_that_is_no_database(nowhere: Database) -> None:
    nowhere.path.write_text("these are somebody's notes, and not a database at all " * 100)

    result = nowhere.manage("migrate")

    assert_one_line(result, "not a database")
    assert nowhere.path.read_text().startswith("these are")


def test_a_file_that_may_only_be_read_can_be_read_and_not_written(nowhere: Database) -> None:
    nowhere.path.touch()
    read_only = {"DATABASE_URL": f"sqlite:///file:{nowhere.path}?mode=ro"}

    assert nowhere.manage("showmigrations", env=read_only).returncode == 0

    assert_one_line(nowhere.manage("migrate", "-v0", env=read_only), "readonly database")


def test_traceback_on_demand(nowhere: Database) -> None:
    result = nowhere.manage("migrate", "--traceback")

    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_help_starts_no_server(nowhere: Database) -> None:
    result = nowhere.manage("help", env={"DATABASE_URL": "", "PATH": "", "SITE_DATABASE_URL": ""})

    assert result.returncode == 0
