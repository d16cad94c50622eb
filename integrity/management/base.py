"""What all commands share: the database, exit codes, and one clear line for every foreseeable fault."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from rich.console import Console

from integrity.backends.faults import explain
from integrity.backends.readable import readable_sessions
from integrity.dedupe.progress import Report
from integrity.exceptions import IntegrityAppError
from integrity.management.progress import bar, lines, nothing

CLEAN, FOUND, FAILED = 0, 1, 2
INTERRUPTED = 130  # as a shell reports a program that SIGINT ended
PIPE_CLOSED = 141  # and one that SIGPIPE ended
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class IntegrityCommand(BaseCommand):
    """A command on one database. Subclasses implement ``run`` and may set the two attributes.

    Exit codes: 0 done and nothing to complain of, 1 done and something found, 2 could not be done; one line on
    stderr says why, ``--traceback`` where. 130 after Ctrl-C, 141 when the reader of the output went away.
    """

    # A stranger's project may fail its own checks: that is no reason not to look at a database.
    requires_system_checks: list[str] = []
    has_format = False
    """Whether the command takes ``--format``."""
    formats: tuple[str, ...] = ("text", "json")
    if_interrupted = "Nothing is lost: what was committed stays, and the same command goes on where it stopped."
    """What the user should know when the work ended in the middle."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what all commands have; a subclass adds its own after these."""
        parser.add_argument(
            "--database", default=DEFAULT_DB_ALIAS, metavar="ALIAS", help='The database to work on. Default: "default".'
        )
        if self.has_format:
            parser.add_argument(
                "--format", choices=self.formats, default="text", help="How to print the result. Default: text."
            )

    def run(self, **options: Any) -> int:
        """Do the work and return the exit code: 0, 1 or 2."""
        raise NotImplementedError

    def run_from_argv(self, argv: list[str]) -> None:
        """Let characters that the terminal does not know be escaped: rows may hold any."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Let ``NO_COLOR`` count as ``--no-color``; rich knows how to read it."""
        if Console().no_color and not options.get("force_color"):
            options["no_color"] = True
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, and turn faults into one line and an exit code.

        Raises:
            CommandError: a foreseeable fault; its ``returncode`` is 2.
            SystemExit: the command ended with another code than 0.
        """
        self.options = options
        self._require_usable(options["database"])
        try:
            with readable_sessions():
                code = self.run(**options)
            self.stdout.flush()
        except IntegrityAppError as error:
            raise failure(str(error)) from error
        except (DatabaseError, InterfaceError) as error:
            self._explain(error, using=options["database"])
        except KeyboardInterrupt:
            self.stderr.write(f"Interrupted. {self.if_interrupted}")
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            _forget_stdout()
            raise SystemExit(PIPE_CLOSED) from None
        except UnicodeEncodeError as error:
            text = error.object[max(error.start - 20, 0) : error.end + 20]
            raise failure(f"{text!r} is not UTF-8, and no database takes it. Check what was typed.") from error
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            _forget_stdout()
            raise failure(f"The output cannot be written: {error.strerror}. {self.if_interrupted}") from error
        if code != CLEAN:
            raise SystemExit(code)

    def _require_usable(self, alias: str) -> None:
        if alias not in connections.databases:
            raise failure(f"There is no database {alias!r}. Choose from: {', '.join(sorted(connections.databases))}.")
        if not connections[alias].settings_dict["AUTOCOMMIT"]:
            raise failure(
                f"DATABASES[{alias!r}] has AUTOCOMMIT off, so that all work would be rolled back at the end. Run this "
                "with settings that leave AUTOCOMMIT out."
            )

    def _explain(self, error: DatabaseError | InterfaceError, *, using: str) -> NoReturn:
        fault = explain(error, using=using)
        if fault is None:
            raise error
        raise failure(f"{fault.message} {self.if_interrupted if fault.interrupted else ''}") from error

    def print_json(self, data: Any) -> None:
        """Print a result for programs."""
        self.stdout.write(json.dumps(data, indent=2))

    def console(self) -> Console:
        """Return a console on stdout, for tables: as wide as the terminal, and coloured only there."""
        return _Console(
            file=_stream(self.stdout),
            no_color=self.options["no_color"],
            force_terminal=self.stdout.isatty(),
            highlight=False,
            markup=False,
            emoji=False,
        )

    @contextmanager
    def progress(self) -> Iterator[Report]:
        """Show progress on stderr: a bar on a terminal, else now and then a line; nothing with ``-v 0``."""
        if self.options["verbosity"] == 0:
            yield nothing
        elif self.stderr.isatty():
            with bar(Console(file=_stream(self.stderr), no_color=self.options["no_color"])) as report:
                yield report
        else:
            yield lines(self.stderr.write)


class _Console(Console):
    """Leaves a reader that went away to the command, which has an exit code for it."""

    def on_broken_pipe(self) -> None:
        raise  # what is being handled


def failure(message: str) -> CommandError:
    """Return the error that ends a command with this one line and exit code 2."""
    return CommandError(" ".join(message.split()), returncode=FAILED)


def _stream(wrapper: OutputWrapper) -> IO[str]:
    """Return what Django's wrapper writes to: the wrapper itself ends every piece of a line with a newline."""
    stream: Any = wrapper._out
    return stream  # type: ignore[no-any-return]


def _forget_stdout() -> None:
    """Let the interpreter flush what is left into nowhere, so that it has nothing to say at its end."""
    with suppress(io.UnsupportedOperation):  # it is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
