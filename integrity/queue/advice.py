"""What to type next, as messages say it."""

from __future__ import annotations

import shlex

from django.db import DEFAULT_DB_ALIAS


def install_command(*, using: str, queue: str = "") -> str:
    """The command that installs what is missing: ``manage.py install_pgmq --queue jobs --database other``."""
    named = queue_option(queue) if queue else ""
    return "manage.py install_pgmq" + named + (f" --database {using}" if using != DEFAULT_DB_ALIAS else "")


def queue_option(queue: str) -> str:
    """`` --queue jobs``, as a shell and the command take it whatever the queue is called."""
    return (" --queue=" if queue.startswith("-") else " --queue ") + shlex.quote(queue)
