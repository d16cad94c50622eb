"""What to type next, as messages say it."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS


def command_for(words: str, *, using: str) -> str:
    """A command for this database: ``manage.py dedupe --resume 1 --database other``."""
    return f"manage.py {words}" + (f" --database {using}" if using != DEFAULT_DB_ALIAS else "")
