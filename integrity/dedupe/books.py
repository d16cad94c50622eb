"""Our own books, reached through whatever app registry the engine was handed."""

from __future__ import annotations

from typing import Any

from django.apps.registry import Apps

from integrity.backends import get_catalogue
from integrity.dedupe.advice import command_for
from integrity.exceptions import IntegrityAppError

_TABLES = {"DedupePlan": "integrity_plan", "DedupeRun": "integrity_run", "SideTable": "integrity_side_table"}


class NotMigrated(IntegrityAppError):
    """The books are not in the database, or not in the registry."""


def book(name: str, *, apps: Apps, using: str) -> Any:
    """Return the manager of a book (``DedupePlan``, ``DedupeRun``, ``SideTable``) on a database.

    Raises:
        NotMigrated: the registry has no such model, as in a migration that does not depend on ours.
    """
    try:
        model = apps.get_model("integrity", name)
    except LookupError:
        raise NotMigrated(
            "The books of `integrity` are not known here. A migration that removes duplicates must depend on "
            '("integrity", "0001_initial"), and "integrity" must be in INSTALLED_APPS.'
        ) from None
    return model._base_manager.using(using)


def require_books(*, using: str) -> None:
    """Check that the tables of the books are there.

    Raises:
        NotMigrated: they are not.
    """
    missing = set(_TABLES.values()) - get_catalogue(using=using).tables()
    if missing:
        raise NotMigrated(
            f"Database {using!r} has no table {', '.join(sorted(missing))}, in which plans, runs and removed rows are "
            f"kept. Make them with: {command_for('migrate integrity 0001', using=using)}"
        )
