"""``manage.py explain_integrity_error``: what an error in a log means in a database."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from integrity.exceptions import IntegrityAppError
from integrity.management.base import CLEAN, IntegrityCommand
from integrity.writes.diagnosis import Diagnosis, diagnose


class UnreadableText(IntegrityAppError):
    """The text to be explained cannot be read."""


class Command(IntegrityCommand):
    """Reads a traceback or a line of a log, and a database; changes nothing."""

    help = "Say what an integrity error means: which constraint, which rows, how the ids are stored. Reads only."
    has_format = True

    def add_arguments(self, parser: CommandParser) -> None:
        """Add where the text comes from."""
        super().add_arguments(parser)
        parser.add_argument("file", nargs="?", default="-", help='A file with the text; "-", the default, is stdin.')

    def run(self, **options: Any) -> int:
        """Read, diagnose, print."""
        diagnosis = diagnose(text=_text(options["file"]), using=options["database"])
        if options["format"] == "json":
            self.print_json(asdict(diagnosis))
        else:
            self._print(diagnosis)
        return CLEAN

    def _print(self, found: Diagnosis) -> None:
        columns = f" ({', '.join(found.columns)})" if found.columns else ""
        self.stdout.write(f"Table:       {found.table}{columns}")
        if found.constraint:
            self.stdout.write(f"Constraint:  {found.constraint}")
        for name, value in found.key.items():
            self.stdout.write(f"Key:         {name} = {value}")
        for row in found.rows:
            self.stdout.write(f"Row now:     {row}")
        for column in found.unsafe:
            classes = ", ".join(f"{count} {kind}" for kind, count in sorted(column.classes.items())) or "no values"
            self.stdout.write(f"Stored ids:  {column.table}.{column.name} {column.type}: {classes}")
        self.stdout.write(f"Cause:       {found.cause}")
        self.stdout.write(f"Do this:     {found.advice}")


def _text(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnreadableText(f"{name}: {error.strerror}. Check the path.") from error
