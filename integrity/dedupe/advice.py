"""What to type next, as messages say it."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS


def command_for(words: str, *, using: str) -> str:
    """A command for this database: ``manage.py dedupe --resume 1 --database other``."""
    return f"manage.py {words}" + (f" --database {using}" if using != DEFAULT_DB_ALIAS else "")


def ways_on(run_id: int, *, using: str) -> str:
    """What can be done with a run that is not at its end, after a colon."""
    return (
        f"{command_for(f'dedupe --resume {run_id}', using=using)}; or end it where it is: "
        f"{command_for(f'dedupe --cancel {run_id}', using=using)}; or take it back: "
        f"{command_for(f'undo_dedupe {run_id}', using=using)}"
    )
