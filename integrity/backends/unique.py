"""The door to what makes constraints on each database."""

from __future__ import annotations

from integrity.backends.postgresql.unique import PostgreSQLUnique
from integrity.backends.sqlite.unique import SQLiteUnique
from integrity.backends.supported import supported_connection
from integrity.backends.uniqueness import NotUnique, Outcome, Say, Unique, Wanted

__all__ = ["NotUnique", "Outcome", "Say", "Unique", "Wanted", "get_unique"]

_KINDS: dict[str, type[PostgreSQLUnique | SQLiteUnique]] = {"postgresql": PostgreSQLUnique, "sqlite": SQLiteUnique}


def get_unique(*, using: str) -> Unique:
    """Return what makes constraints on a database alias.

    Raises:
        UnsupportedDatabase: the alias is neither PostgreSQL by psycopg 3 nor SQLite.
    """
    connection = supported_connection(using)
    return _KINDS[connection.vendor](connection)
