"""Every command ends foreseeable faults with one line and an exit code."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, ProgrammingError, connection, connections

from integrity.dedupe.progress import Progress
from integrity.exceptions import IntegrityAppError
from integrity.management.asking import confirm
from integrity.management.base import IntegrityCommand
from integrity.management.progress import lines
from integrity.pipeline import job_queue
from integrity.queue import install
from tests.commands import CommandResult
from tests.databases import Database


def command(run: Callable[[IntegrityCommand], int | None]) -> IntegrityCommand:
    """A command that does what ``run`` does."""

    class Command(IntegrityCommand):
        has_format = True

        def run(self, **options: Any) -> int:
            return run(self) or 0

    return Command(stdout=io.StringIO(), stderr=io.StringIO())


def execute(statement: str) -> Callable[[IntegrityCommand], int | None]:
    """What runs one statement on the default database."""

    def run(_: IntegrityCommand) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    return run


def fault_of(run: Callable[[IntegrityCommand], int | None], **options: Any) -> str:
    """Run, expect it to fail with exit code 2, and return the one line."""
    with pytest.raises(CommandError) as caught:
        call_command(command(run), **options)
    assert caught.value.returncode == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def code_of(run: Callable[[IntegrityCommand], int | None]) -> Any:
    with pytest.raises(SystemExit) as caught:
        call_command(command(run))
    return caught.value.code


def raising(error: BaseException) -> Callable[[IntegrityCommand], int | None]:
    def run(_: IntegrityCommand) -> None:
        raise error

    return run


def test_a_command_that_found_nothing_returns() -> None:
    call_command(command(lambda _: 0))


@pytest.mark.parametrize("code", [1, 2])
def test_another_code_is_the_exit_code(code: int) -> None:
    assert code_of(lambda _: code) == code


def test_an_unknown_database_is_named_beside_the_known_ones() -> None:
    line = fault_of(lambda _: 0, database="archive")

    assert "'archive'" in line
    assert "default" in line


def test_without_autocommit_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)

    line = fault_of(raising(AssertionError("it was begun")))

    assert "'default'" in line
    assert "leave AUTOCOMMIT out" in line


def test_a_statement_that_takes_too_long_says_what_to_raise(postgres_database: Database) -> None:
    line = fault_of(execute("SET statement_timeout = 10; SELECT pg_sleep(60)"))

    assert "raise that for this role" in line
    assert "Nothing is lost" in line


def test_a_pooler_that_takes_no_transactions_is_told_from_one_that_does(postgres_database: Database) -> None:
    words = "transaction blocks not allowed in statement pooling mode"

    line = fault_of(execute(f"DO $$ BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = '08P01'; END $$"))

    assert line.endswith("Connect to PostgreSQL directly, or to a pooler in transaction mode.")


def test_an_error_of_ours_is_one_line_whatever_its_shape() -> None:
    assert fault_of(raising(IntegrityAppError("No rule.\n   Name one."))) == "No rule. Name one."


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ProgrammingError, match="syntax"):
        call_command(command(raising(ProgrammingError("syntax"))))


def test_a_missing_table_is_named_with_what_makes_it(empty_database: Database) -> None:
    line = fault_of(execute("SELECT * FROM embedding"))

    assert "embedding" in line
    assert "manage.py migrate" in line
    assert "SELECT" not in line


def test_a_server_that_is_not_there_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    line = fault_of(raising(OperationalError("connection refused\n\tIs the server running?")))

    assert "connection refused Is the server running?" in line
    assert "Nothing is lost" in line


def test_a_connection_cut_in_the_middle_says_how_to_go_on(postgres_database: Database) -> None:
    def run(_: IntegrityCommand) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
            postgres_database.execute("SELECT pg_terminate_backend(%s)", (pid,))
            cursor.execute("SELECT 1")

    assert "the same command goes on where it stopped" in fault_of(run)


def test_using_a_connection_that_was_closed_is_one_line_too(postgres_database: Database) -> None:
    def run(_: IntegrityCommand) -> None:
        connection.ensure_connection()
        connection.connection.close()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    assert "Nothing is lost" in fault_of(run)


@pytest.fixture
def reader(postgres_database: Database) -> Any:
    """A role that may read one table, for the rest of the test."""
    name = f"reader_{os.getpid()}"
    postgres_database.execute(f'CREATE ROLE "{name}"')
    postgres_database.execute(f'GRANT SELECT ON embedding TO "{name}"')
    with connection.cursor() as cursor:
        cursor.execute(f'SET ROLE "{name}"')
    yield name
    connection.close()
    postgres_database.execute(f'DROP OWNED BY "{name}"')
    postgres_database.execute(f'DROP ROLE "{name}"')


def test_a_lacking_privilege_is_named_with_the_statement_that_grants_it(reader: str) -> None:
    line = fault_of(execute("DELETE FROM embedding"))

    assert f'GRANT INSERT, UPDATE, DELETE ON "embedding" TO "{reader}";' in line


def test_what_only_the_owner_may_do_says_so(reader: str) -> None:
    line = fault_of(execute("ALTER TABLE embedding ADD COLUMN more text"))

    assert "must be owner of table embedding" in line


def test_a_read_only_database_says_what_to_change(
    postgres_database: Database, call: Callable[..., CommandResult]
) -> None:
    install(using="default")
    job_queue().create()
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    connection.close()

    cancel = f"embedding_queue cancel --file {uuid4()}"
    for arguments in (cancel, "install_pgmq --queue more", "dedupe_embeddings"):
        result = call(*arguments.split())
        assert (result.code, len(result.err.splitlines())) == (2, 1), result
        assert "Connect to the primary" in result.err


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("DO $$ BEGIN RAISE 'not on Fridays'; END $$", "not on Fridays. A trigger or function"),
        ("DO $$ BEGIN ASSERT 1 = 2; END $$", "assertion failed. A trigger or function"),
        ("SELECT pgmq_read()", "function pgmq_read() does not exist. Check that it is the right database"),
        ("SELECT NULL::no_such_type", 'type "no_such_type" does not exist. Check that it is the right database'),
        ("SELECT 1 FROM pg_class GROUP BY relname FOR UPDATE", "with GROUP BY clause. This PostgreSQL, or this kind"),
    ],
)
def test_what_the_database_refuses_is_one_line(postgres_database: Database, statement: str, advice: str) -> None:
    assert advice in fault_of(execute(statement))


@pytest.mark.parametrize("style", ["DateStyle = 'German, DMY'", "IntervalStyle = 'sql_standard'"])
def test_dates_and_intervals_are_read_whatever_their_style_is(postgres_database: Database, style: str) -> None:
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    postgres_database.execute(f"ALTER DATABASE {name} SET {style}")
    connection.close()
    found: list[tuple[Any, ...]] = []

    def run(_: IntegrityCommand) -> None:
        call_command(command(lambda _: None))
        with connection.cursor() as cursor:
            cursor.execute("SELECT '2026-02-01 00:00+00'::timestamptz, '2026-02-01'::date, interval '1 day 2 hours'")
            found.append(cursor.fetchone())

    call_command(command(run))

    assert found == [(datetime(2026, 2, 1, tzinfo=UTC), date(2026, 2, 1), timedelta(days=1, hours=2))]


def test_a_read_only_file_says_what_to_change(sqlite_database: Database) -> None:
    def run(_: IntegrityCommand) -> None:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA query_only = ON")  # the same error as a file without permission gives, as root too
            cursor.execute("DELETE FROM embedding")

    assert "writable" in fault_of(run)


def test_a_file_that_is_no_database_says_so(sqlite_database: Database) -> None:
    sqlite_database.path.write_bytes(b"a text that is no database at all" * 100)
    connections.close_all()

    assert "names an SQLite file" in fault_of(execute("SELECT * FROM embedding"))


def test_ctrl_c_is_one_line_and_130() -> None:
    asked = command(raising(KeyboardInterrupt()))

    with pytest.raises(SystemExit) as caught:
        call_command(asked)

    assert caught.value.code == 130
    assert asked.stderr.getvalue().startswith("Interrupted. Nothing is lost")
    assert asked.stderr.getvalue().count("\n") == 1


def process_of(work: str, *, stdout: Any = subprocess.PIPE, encoding: str = "utf-8") -> subprocess.Popen[bytes]:
    """Start a process that waits for a line on stdin, then does this in a command."""
    script = f"""if 1:
        import django, sys
        django.setup()
        from integrity.management.base import IntegrityCommand
        class Command(IntegrityCommand):
            def run(self, **options):
                sys.stdin.readline()
                {work}
                return 0
        Command().run_from_argv(["manage.py", "words"])
    """
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONIOENCODING": encoding},
    )


@pytest.mark.parametrize("work", ['self.stdout.write("a line")', 'self.console().print("a line")'])
def test_a_reader_that_goes_away_ends_the_command_in_silence(work: str) -> None:
    process = process_of(work)
    assert process.stdout is not None
    process.stdout.close()

    _, said = process.communicate(b"go on\n")

    assert (process.returncode, said) == (141, b"")


@pytest.mark.parametrize("work", ['self.stdout.write("a line")', 'self.console().print("a line")'])
def test_a_disk_without_room_for_the_output_is_one_line(work: str) -> None:
    with Path("/dev/full").open("w") as full:
        process = process_of(work, stdout=full)

        _, said = process.communicate(b"go on\n")

    assert process.returncode == 2
    assert said.startswith(b"CommandError: The output cannot be written: No space left on device. Nothing is lost")
    assert said.count(b"\n") == 1


@pytest.mark.parametrize("work", ['self.stdout.write("Zo\\xeb")', 'self.console().print("Zo\\xeb")'])
def test_characters_that_the_terminal_does_not_know_are_escaped(work: str) -> None:
    process = process_of(work, encoding="ascii")

    assert process.communicate(b"go on\n") == (b"Zo\\xeb\n", b"")


def test_nobody_answers_where_stdin_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it then

    assert "Nobody is here to answer. Add --no-input" in fault_of(lambda asked: confirm(asked, "Go on?"))


def test_no_color_in_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    seen: list[bool] = []

    call_command(command(lambda asked: seen.append(asked.options["no_color"])))

    assert seen == [True]


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal() -> None:
    said: list[str] = []
    now = 0.0
    report = lines(said.append, clock=lambda: now)

    for now in (0.0, 1.0, 6.0, 7.0, 12.0):
        report(Progress(step="remove", done=int(now), total=100 if now < 12 else 0))

    assert said == ["remove: 6 of 100", "remove: 12"]


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")

    def run(asked: IntegrityCommand) -> None:
        with asked.progress() as report:
            report(Progress(step="count"))
            report(Progress(step="remove", done=3, total=7))

    terminal = Terminal()
    call_command(command(run), stderr=terminal)

    assert "remove" in terminal.getvalue()
    assert "3/7" in terminal.getvalue()


def test_progress_says_nothing_with_v_0() -> None:
    def run(asked: IntegrityCommand) -> None:
        with asked.progress() as report:
            report(Progress(step="remove", done=3, total=7))

    terminal = Terminal()
    call_command(command(run), stderr=terminal, verbosity=0)

    assert terminal.getvalue() == ""


def test_json_is_for_programs() -> None:
    asked = command(lambda asked: asked.print_json({"name": "Zoë"}))

    call_command(asked, format="json")

    assert asked.stdout.getvalue() == '{\n  "name": "Zo\\u00eb"\n}\n', "whatever the encoding of stdout"
