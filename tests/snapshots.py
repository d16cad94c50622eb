"""The whole content of a database, to compare before with after."""

from __future__ import annotations

from typing import Any

from django.db import connection

from integrity.backends.sql import compose

Snapshot = dict[str, list[tuple[Any, ...]]]


def snapshot(*, own_books: bool = False) -> Snapshot:
    """Return every row of every table of ``default``, sorted; without ``integrity_*`` and Django's own by default."""
    with connection.cursor() as cursor:
        tables = [
            name
            for name in connection.introspection.table_names(cursor)
            if (own_books and name != "sqlite_sequence")
            or not name.startswith(("integrity_", "django_", "auth_", "sqlite_"))
        ]
        found: Snapshot = {}
        for table in sorted(tables):
            cursor.execute(compose("SELECT * FROM {table}", table=table) % ())
            found[table] = sorted((tuple(map(_plain, row)) for row in cursor.fetchall()), key=repr)
        return found


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
