"""The one place where fields ask which database they are on.

Models and backends stand on the same floor and do not import each other, so the two type names that a field
of ours has live with the field.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper


def is_postgresql(connection: BaseDatabaseWrapper) -> bool:
    """Whether the connection speaks PostgreSQL; if not, it is SQLite."""
    return connection.vendor == "postgresql"
