"""The door to what makes constraints on each database."""

from __future__ import annotations

from django.db import connections

from integrity.backends.base import UnsupportedDatabase
from integrity.backends.postgresql.unique import PostgreSQLUnique
from integrity.backends.sqlite.unique import SQLiteUnique
from integrity.backends.uniqueness import NotUnique, Outcome, Say, Unique, Wanted

__all__ = ["NotUnique", "Outcome", "Say", "Unique", "Wanted", "get_unique"]

_KINDS: dict[str, type[PostgreSQLUnique | SQLiteUnique]] = {"postgresql": PostgreSQLUnique, "sqlite": SQLiteUnique}


def get_unique(*, using: str) -> Unique:
    """Return what makes constraints on a database alias.

    Raises:
        UnsupportedDatabase: the alias is neither PostgreSQL nor SQLite.
    """
    connection = connections[using]
    if connection.vendor not in _KINDS:
        raise UnsupportedDatabase(
            f"Database {using!r} is {connection.display_name}; this app knows PostgreSQL (15 or later) and SQLite."
        )
    return _KINDS[connection.vendor](connection)
