"""Which databases the app works on: PostgreSQL by psycopg 3, and SQLite; some parts need the former."""

from __future__ import annotations

from typing import Any, Final

from django.db import connections

from integrity.exceptions import IntegrityAppError

_VENDORS: Final = frozenset({"postgresql", "sqlite"})


class UnsupportedDatabase(IntegrityAppError):
    """The database is of a kind, or a version, that this app does not know."""


def supported_connection(using: str) -> Any:
    """Return the connection of a database alias.

    Raises:
        UnsupportedDatabase: the alias is neither PostgreSQL by psycopg 3 nor SQLite.
    """
    connection: Any = connections[using]
    if connection.vendor not in _VENDORS:
        raise UnsupportedDatabase(
            f"Database {using!r} is {connection.display_name}; this app knows PostgreSQL (15 or later) and SQLite."
        )
    if connection.Database.__name__ == "psycopg2":
        raise UnsupportedDatabase(
            f"Database {using!r} is reached with psycopg2; this app needs psycopg 3. "
            "Run: pip install 'psycopg[binary]'. Django prefers it once it is there."
        )
    return connection


def require_postgresql(*, what: str, using: str) -> None:
    """Make sure that the database is PostgreSQL; ``what`` needs it.

    Raises:
        UnsupportedDatabase: it is not.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        raise UnsupportedDatabase(
            f"{what} needs PostgreSQL; database {using!r} is {connection.display_name}. Set DATABASE_URL."
        )
