"""What some parts need and only PostgreSQL has."""

from __future__ import annotations

from django.db import connections

from integrity.backends.base import UnsupportedDatabase


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
