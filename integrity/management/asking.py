"""Asking before something is done."""

from __future__ import annotations

from integrity.management.base import IntegrityCommand, failure


def confirm(command: IntegrityCommand, question: str) -> None:
    """Return after a yes.

    Raises:
        CommandError: the answer was no, or there is nobody to answer.
    """
    command.stderr.write(f"{question} [y/N] ", ending="")
    command.stderr.flush()
    try:
        answer = input()
    except (EOFError, RuntimeError):  # the latter where stdin is closed, as cron may have it
        raise failure("Nobody is here to answer. Add --no-input to go on without asking.") from None
    if answer.strip().lower() not in ("y", "yes"):
        raise failure("Nothing was changed.")
