"""All that differs between databases, behind a door for each purpose: ``get_catalogue``, ``get_rows`` and others."""

from __future__ import annotations

from integrity.backends.audit_queries import AuditQueries
from integrity.backends.base import (
    Catalogue,
    Column,
    ForeignKey,
    Index,
    collations_of,
    has_index_on,
)
from integrity.backends.postgresql.audit_queries import PostgreSQLAuditQueries
from integrity.backends.postgresql.catalogue import PostgreSQLCatalogue
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.remembered import RememberedCatalogue
from integrity.backends.rows import Rows
from integrity.backends.sqlite.audit_queries import SQLiteAuditQueries
from integrity.backends.sqlite.catalogue import SQLiteCatalogue
from integrity.backends.sqlite.rows import SQLiteRows
from integrity.backends.supported import UnsupportedDatabase, supported_connection

__all__ = [
    "AuditQueries",
    "Catalogue",
    "Column",
    "ForeignKey",
    "Index",
    "RememberedCatalogue",
    "Rows",
    "UnsupportedDatabase",
    "collations_of",
    "get_audit_queries",
    "get_catalogue",
    "get_rows",
    "has_index_on",
]

_CATALOGUES: dict[str, type[PostgreSQLCatalogue | SQLiteCatalogue]] = {
    "postgresql": PostgreSQLCatalogue,
    "sqlite": SQLiteCatalogue,
}
_ROWS: dict[str, type[Rows]] = {"postgresql": PostgreSQLRows, "sqlite": SQLiteRows}
_AUDIT_QUERIES: dict[str, type[AuditQueries]] = {"postgresql": PostgreSQLAuditQueries, "sqlite": SQLiteAuditQueries}


def get_catalogue(*, using: str) -> Catalogue:
    """Return the catalogue of a database alias.

    Raises:
        UnsupportedDatabase: the alias is neither PostgreSQL by psycopg 3 nor SQLite.
    """
    connection = supported_connection(using)
    return _CATALOGUES[connection.vendor](connection)


def get_rows(*, using: str) -> Rows:
    """Return the row statements of a database alias.

    Raises:
        UnsupportedDatabase: the alias is neither PostgreSQL by psycopg 3 nor SQLite.
    """
    connection = supported_connection(using)
    return _ROWS[connection.vendor](connection)


def get_audit_queries(*, using: str) -> AuditQueries:
    """Return what an audit may ask of a database alias.

    Raises:
        UnsupportedDatabase: the alias is neither PostgreSQL by psycopg 3 nor SQLite.
    """
    return _AUDIT_QUERIES[supported_connection(using).vendor](get_rows(using=using))
