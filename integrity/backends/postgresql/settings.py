"""Settings for a piece of work: gone with its transaction, or put back where that is a caller's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.sql import literal


@contextmanager
def settings(connection: BaseDatabaseWrapper, wanted: Mapping[str, object], *, first: str = "") -> Iterator[None]:
    """Hold settings within the innermost ``atomic`` block, which must be open and roll back if this fails.

    ``first`` is a statement to be sent before. All of it takes one round trip, a caller's transaction another two.
    """
    within = any(connection.savepoint_ids)
    before = _read(connection, wanted) if within else {}
    _write(connection, wanted, first=first)
    yield
    if before:
        _write(connection, before)


def _read(connection: BaseDatabaseWrapper, names: Mapping[str, object]) -> dict[str, object]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join("current_setting(%s)" for _ in names), list(names))
        return dict(zip(names, cursor.fetchone(), strict=True))


def _write(connection: Any, values: Mapping[str, object], *, first: str = "") -> None:
    from psycopg import ClientCursor  # not above: this file is read where SQLite is all there is

    # Several statements in one round trip, which only a cursor that sends no parameters can do.
    chosen = ", ".join(f"set_config({literal(name)}, {literal(str(value))}, TRUE)" for name, value in values.items())
    with connection.wrap_database_errors, ClientCursor(connection.connection) as cursor:
        cursor.execute(f"{first}SELECT {chosen}")
