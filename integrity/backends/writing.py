"""The doors to what writes many rows on a database alias."""

from __future__ import annotations

from django.db import connections

from integrity.backends.bulk import Bulk
from integrity.backends.postgresql.bulk import PostgreSQLBulk
from integrity.backends.postgresql.upserts import PostgreSQLUpserts
from integrity.backends.sqlite.bulk import SQLiteBulk
from integrity.backends.sqlite.upserts import SQLiteUpserts
from integrity.backends.upserts import Upserts

_UPSERTS: dict[str, type[PostgreSQLUpserts | SQLiteUpserts]] = {
    "postgresql": PostgreSQLUpserts,
    "sqlite": SQLiteUpserts,
}
_BULK: dict[str, type[PostgreSQLBulk | SQLiteBulk]] = {"postgresql": PostgreSQLBulk, "sqlite": SQLiteBulk}


def get_upserts(*, using: str) -> Upserts:
    """Return what upserts on a database alias.

    Raises:
        KeyError: the database is neither PostgreSQL nor SQLite; ``get_catalogue`` says so more kindly.
    """
    connection = connections[using]
    return _UPSERTS[connection.vendor](connection)


def get_bulk(*, using: str) -> Bulk:
    """Return what writes in bulk on a database alias.

    Raises:
        KeyError: as ``get_upserts``.
    """
    connection = connections[using]
    return _BULK[connection.vendor](connection)
