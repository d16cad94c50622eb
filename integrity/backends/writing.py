"""The doors to what writes many rows on a database alias. PostgreSQL's need psycopg, which SQLite does without."""

from __future__ import annotations

from django.db import connections

from integrity.backends.bulk import Bulk
from integrity.backends.sqlite.bulk import SQLiteBulk
from integrity.backends.sqlite.upserts import SQLiteUpserts
from integrity.backends.upserts import Upserts


def get_upserts(*, using: str) -> Upserts:
    """Return what upserts on a database alias.

    Raises:
        KeyError: the database is neither PostgreSQL nor SQLite; ``get_catalogue`` says so more kindly.
    """
    connection = connections[using]
    if connection.vendor == "postgresql":
        from integrity.backends.postgresql.upserts import PostgreSQLUpserts

        return PostgreSQLUpserts(connection)
    return {"sqlite": SQLiteUpserts}[connection.vendor](connection)


def get_bulk(*, using: str) -> Bulk:
    """Return what writes in bulk on a database alias.

    Raises:
        KeyError: as ``get_upserts``.
    """
    connection = connections[using]
    if connection.vendor == "postgresql":
        from integrity.backends.postgresql.bulk import PostgreSQLBulk

        return PostgreSQLBulk(connection)
    return {"sqlite": SQLiteBulk}[connection.vendor](connection)
