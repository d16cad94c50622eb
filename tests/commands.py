"""Run a management command inside the test's own process."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from unittest import mock

from project.commandline import main


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def run_command(*args: str, input: str = "") -> CommandResult:
    """Run ``manage.py ARGS`` as from a shell: same parser, same exit codes, same one-line errors.

    Raises:
        Exception: whatever would have been a traceback in the shell.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "stdin", io.StringIO(input)),
    ):
        try:
            code = main(["manage.py", *args])
        except SystemExit as leaving:
            code = _exit_code(leaving)
    return CommandResult(code=code, out=out.getvalue(), err=err.getvalue())


def _exit_code(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code
    sys.stderr.write(f"{leaving.code}\n")
    return 1
