"""All that differs between databases, behind two doors: ``get_catalogue`` and ``get_rows``."""

from __future__ import annotations

from django.db import connections

from integrity.backends.base import (
    Catalogue,
    Column,
    ForeignKey,
    Index,
    UnsupportedDatabase,
    has_index_on,
)
from integrity.backends.postgresql.catalogue import PostgreSQLCatalogue
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.rows import Rows
from integrity.backends.sqlite.catalogue import SQLiteCatalogue
from integrity.backends.sqlite.rows import SQLiteRows

__all__ = [
    "Catalogue",
    "Column",
    "ForeignKey",
    "Index",
    "Rows",
    "UnsupportedDatabase",
    "get_catalogue",
    "get_rows",
    "has_index_on",
]

_CATALOGUES: dict[str, type[PostgreSQLCatalogue | SQLiteCatalogue]] = {
    "postgresql": PostgreSQLCatalogue,
    "sqlite": SQLiteCatalogue,
}
_ROWS: dict[str, type[Rows]] = {"postgresql": PostgreSQLRows, "sqlite": SQLiteRows}


def get_catalogue(*, using: str) -> Catalogue:
    """Return the catalogue of a database alias.

    Raises:
        UnsupportedDatabase: the alias is neither PostgreSQL nor SQLite.
    """
    return _CATALOGUES[_vendor(using)](connections[using])


def get_rows(*, using: str) -> Rows:
    """Return the row statements of a database alias.

    Raises:
        UnsupportedDatabase: the alias is neither PostgreSQL nor SQLite.
    """
    return _ROWS[_vendor(using)](connections[using])


def _vendor(using: str) -> str:
    connection = connections[using]
    if connection.vendor not in _ROWS:
        raise UnsupportedDatabase(
            f"Database {using!r} is {connection.display_name}; this app knows PostgreSQL (15 or later) and SQLite."
        )
    return str(connection.vendor)
