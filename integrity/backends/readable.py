"""Sessions that write dates and intervals as psycopg can read them, whatever the database or the role has set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_STYLES: Final = {"DateStyle": "ISO", "IntervalStyle": "postgres"}


@contextmanager
def readable_sessions() -> Iterator[None]:
    """Let the connections that any thread opens meanwhile have these styles; others are left alone."""
    own = object()  # a command may run within another
    connection_created.connect(_make_readable, dispatch_uid=own)
    try:
        yield
    finally:
        connection_created.disconnect(dispatch_uid=own)


def _make_readable(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor != "postgresql":
        return
    status = connection.connection.info.parameter_status  # what the server has told: no question is asked
    for name, style in _STYLES.items():
        if (status(name) or "").partition(",")[0] != style:
            with connection.cursor() as cursor:
                cursor.execute(f"SET {name} = {style}")
