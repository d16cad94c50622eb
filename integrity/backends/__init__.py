"""All that differs between databases, behind one door: ``get_catalogue(using=...)``."""

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
from integrity.backends.sqlite.catalogue import SQLiteCatalogue

__all__ = [
    "Catalogue",
    "Column",
    "ForeignKey",
    "Index",
    "UnsupportedDatabase",
    "get_catalogue",
    "has_index_on",
]

_CATALOGUES = {"postgresql": PostgreSQLCatalogue, "sqlite": SQLiteCatalogue}


def get_catalogue(*, using: str) -> Catalogue:
    """Return the catalogue of a database alias.

    Raises:
        UnsupportedDatabase: the alias is neither PostgreSQL nor SQLite.
    """
    connection = connections[using]
    try:
        return _CATALOGUES[connection.vendor](connection)
    except KeyError:
        raise UnsupportedDatabase(
            f"Database {using!r} is {connection.display_name}; this app knows PostgreSQL (15 or later) and SQLite."
        ) from None
