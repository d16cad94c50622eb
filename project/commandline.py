"""What ``manage.py`` does: Django's commands, with one clear line where the surroundings are at fault."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db.migrations.exceptions import MigrationSchemaMissing
from django.db.utils import OperationalError

SURROUNDINGS = (ImproperlyConfigured, OperationalError, MigrationSchemaMissing)


def main(argv: Sequence[str]) -> int:
    """Run the command in ``argv`` and return its exit code.

    A fault of the surroundings (settings, an unreachable server, a file that is not there) is one line on
    stderr and exit code 2; ``--traceback`` shows where it came from.

    Raises:
        SystemExit: the command itself ended the process, as Django's commands do on a CommandError.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    try:
        # Asked for now: Django's own runner keeps a fault of the settings to itself and fails later, with a riddle.
        _ = settings.DATABASES
        execute_from_command_line(list(argv))
    except SURROUNDINGS as error:
        if "--traceback" in argv:
            raise
        sys.stderr.write(f"{one_line(error)}\n")
        return 2
    return 0


def one_line(error: Exception) -> str:
    """Return the error's message on one line: database drivers spread theirs over several."""
    return " ".join(str(error).split()) or type(error).__name__
