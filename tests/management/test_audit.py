"""``manage.py audit``: exit codes, what it prints for people and for programs."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from integrity.audits import registered_audits
from integrity.demo.data import make_dirty_data
from tests.commands import CommandResult
from tests.databases import Database
from tests.waiting import eventually

Call = Callable[..., CommandResult]


@pytest.fixture
def dirty(database_at: Callable[[str], Database]) -> Database:
    database = database_at("0001")
    make_dirty_data(using="default")
    return database


def test_a_clean_database_is_one_line_and_0(database: Database, call: Call) -> None:
    result = call("audit")

    assert (result.code, result.out, result.err) == (0, "Database 'default': nothing found.\n", "")


def test_findings_are_1_and_grouped_by_level_with_a_count_at_the_end(dirty: Database, call: Call) -> None:
    result = call("audit")

    lines = result.out.splitlines()
    assert result.code == 1
    assert [line for line in lines if line.endswith("S:")] == ["ERRORS:", "WARNINGS:"]
    assert lines[1].endswith("25 redundant rows. (integrity.A001)")
    assert lines[2].strip().startswith("Preview")
    assert re.fullmatch(r"Database 'default': \d+ errors, \d+ warnings?\.", lines[-1])


@pytest.mark.parametrize(
    ("tag", "level", "code"),
    [
        ("incomplete", "WARNING", 1),
        ("incomplete", "ERROR", 0),
        ("duplicates", "ERROR", 1),
        ("duplicates", "CRITICAL", 0),
        ("indexes", "INFO", 0),
    ],
)
def test_the_fail_level_decides_the_exit_code(dirty: Database, call: Call, tag: str, level: str, code: int) -> None:
    assert call("audit", "--tag", tag, "--fail-level", level).code == code


def test_tags_choose_audits(dirty: Database, call: Call) -> None:
    result = call("audit", "-t", "orphans", "--tag", "incomplete", "--format", "json")

    assert {finding["tag"] for finding in json.loads(result.out)["findings"]} == {"orphans", "incomplete"}


def test_notes_are_shown_with_v_2_and_where_they_decide(database: Database, call: Call) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE workflow_executions")

    assert call("audit").out == "Database 'default': nothing found.\n"
    assert "workflow_executions" in call("audit", "-v", "2").out
    noticed = call("audit", "--fail-level", "INFO")
    assert noticed.code == 1
    assert noticed.out.endswith("Database 'default': 1 note.\n")


def test_json_has_the_documented_names(dirty: Database, call: Call) -> None:
    result = call("audit", "--format", "json")

    report = json.loads(result.out)
    assert result.code == 1
    assert list(report) == ["version", "database", "fail_level", "failed", "counts", "findings"]
    assert (report["version"], report["database"], report["failed"]) == (1, "default", True)
    assert list(report["counts"]) == ["INFO", "WARNING", "ERROR", "CRITICAL"]
    for level, count in report["counts"].items():
        assert count == sum(finding["level"] == level for finding in report["findings"])
    assert report["counts"]["ERROR"] >= 3
    assert report["findings"][0] == {
        "id": "integrity.A001",
        "level": "ERROR",
        "tag": "duplicates",
        "object": "embedding",
        "message": "25 duplicate groups of (invocation_id, embedding_model) with 25 redundant rows.",
        "hint": "Preview what would be removed: manage.py dedupe embeddings",
        "details": {"rule": "embeddings", "groups": 25, "redundant": 25},
    }


def test_json_of_a_clean_database_is_a_report_too(database: Database, call: Call) -> None:
    report = json.loads(call("audit", "--format", "json").out)

    assert (report["failed"], report["findings"]) == (False, [])


def test_the_list_names_every_audit_and_reads_no_database(call: Call) -> None:
    result = call("audit", "--list")

    assert result.code == 0
    for audit in registered_audits():
        assert audit.tag in result.out
        assert all(one in result.out for one in audit.ids)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tag", "duplicate"], "Known: "),
        (["--database", "archive"], "default"),
        (["--fail-level", "LOW"], "WARNING"),
        (["--format", "yaml"], "json"),
    ],
)
def test_bad_input_is_2_and_names_what_is_good(call: Call, arguments: list[str], words: str) -> None:
    result = call("audit", *arguments)

    assert (result.code, result.out) == (2, "")
    assert words in result.err


def test_an_empty_database_is_2_and_not_clean(empty_database: Database, call: Call) -> None:
    result = call("audit")

    assert (result.code, result.out) == (2, "")
    assert "right database" in result.err


def test_a_role_that_may_not_read_is_told_what_to_ask_for(reader: str, postgres_database: Database, call: Call) -> None:
    result = call("audit")

    assert result.code == 2
    assert re.search(r'lacks SELECT, INSERT, UPDATE, DELETE on "\w+"', result.err)


@pytest.fixture
def reader(postgres_database: Database) -> Iterator[str]:
    """A role that may read nothing, for the rest of the test."""
    name = f"nobody_{os.getpid()}"
    postgres_database.execute(f'CREATE ROLE "{name}"')
    with connection.cursor() as cursor:
        cursor.execute(f'SET ROLE "{name}"')
    yield name
    connection.close()
    postgres_database.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


def test_a_role_that_a_policy_hides_rows_from_is_told_so(reader: str, postgres_database: Database, call: Call) -> None:
    postgres_database.execute("ALTER TABLE embedding ENABLE ROW LEVEL SECURITY")
    postgres_database.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{reader}"')

    result = call("audit")

    assert result.code == 2
    assert 'row-level security policy for table "embedding"' in result.err
    assert "BYPASSRLS" in result.err


@override_settings(INTEGRITY_SYSTEMS=["embeddings", "no such system"])
def test_a_project_that_fails_its_checks_is_audited_all_the_same(dirty: Database, call: Call) -> None:
    assert call("check").code == 1
    assert "25 duplicate groups" in call("audit").out


def test_ctrl_c_while_the_database_works_is_130_and_one_line(postgres_database: Database) -> None:
    with closing(postgres_database.connect()) as blocker:
        blocker.execute("LOCK TABLE embedding IN ACCESS EXCLUSIVE MODE")
        process = postgres_database.popen("audit", "--tag", "duplicates")
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database "
        waiting += "WHERE datname = current_database())"
        try:
            eventually(lambda: postgres_database.execute(waiting))
        finally:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()

    assert (process.returncode, out) == (130, "")
    assert err == "Interrupted. An audit changes nothing: start it again.\n"


def test_a_statement_that_takes_longer_than_the_role_may_is_one_line(postgres_database: Database, call: Call) -> None:
    with connection.cursor() as cursor, closing(postgres_database.connect()) as blocker:
        cursor.execute("SET statement_timeout = '50ms'")
        blocker.execute("LOCK TABLE embedding IN ACCESS EXCLUSIVE MODE")

        result = call("audit", "--tag", "duplicates")

    assert (result.code, result.out) == (2, "")
    assert "statement timeout" in result.err
    assert result.err.count("\n") == 1


def test_a_locked_file_is_one_line(sqlite_database: Database, call: Call) -> None:
    with connection.cursor() as cursor, closing(sqlite_database.connect()) as blocker:
        cursor.execute("PRAGMA busy_timeout = 0")
        blocker.execute("BEGIN EXCLUSIVE")

        result = call("audit")

    assert (result.code, result.out) == (2, "")
    assert "database is locked" in result.err


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def printed(monkeypatch: pytest.MonkeyPatch, **options: object) -> str:
    """What a terminal of 60 columns gets to see."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with pytest.raises(SystemExit):
        call_command("audit", stdout=terminal, stderr=io.StringIO(), **options)
    return terminal.getvalue()


def test_a_terminal_gets_lines_that_fit_it(dirty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, no_color=True).splitlines()

    assert max(map(len, lines)) <= 60
    assert not any("\x1b" in line for line in lines)
