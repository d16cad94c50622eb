"""The door to the upserts of a database alias."""

from __future__ import annotations

from django.db import connections

from integrity.backends.postgresql.upserts import PostgreSQLUpserts
from integrity.backends.sqlite.upserts import SQLiteUpserts
from integrity.backends.upserts import Upserts

_UPSERTS: dict[str, type[PostgreSQLUpserts | SQLiteUpserts]] = {
    "postgresql": PostgreSQLUpserts,
    "sqlite": SQLiteUpserts,
}


def get_upserts(*, using: str) -> Upserts:
    """Return what upserts on a database alias.

    Raises:
        KeyError: the database is neither PostgreSQL nor SQLite; ``get_catalogue`` says so more kindly.
    """
    connection = connections[using]
    return _UPSERTS[connection.vendor](connection)
