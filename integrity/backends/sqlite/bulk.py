"""Bulk writes on SQLite: a prepared statement, ids by a function of this process."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import uuid_utils
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.bulk import Bulk
from integrity.backends.sql import SQL, compose, joined
from integrity.backends.sqlite.catalogue import SQLiteCatalogue
from integrity.backends.sqlite.rows import SQLiteRows

_PART = 5000


class SQLiteBulk(Bulk):
    """Whoever writes holds the only write lock: there is no name to wait for."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        self.rows = SQLiteRows(connection)

    def fill(self, name: str, rows: Iterable[tuple[Any, ...]]) -> None:
        marks = joined(", ", ["%s"] * len(SQLiteCatalogue(self.connection).columns(name)))
        insert, stream = compose("INSERT INTO {name} VALUES ({marks})", name=name, marks=marks), iter(rows)
        with self.connection.cursor() as cursor:
            while part := list(islice(stream, _PART)):  # Django's executemany remembers all that it is given
                cursor.executemany(insert, part)

    def new_ids(self, *, order: SQL) -> SQL:
        self.connection.ensure_connection()
        self.connection.connection.create_function("integrity_uuid7", 0, _hex_uuid7)
        return SQL("integrity_uuid7()")

    def lock_name(self, name: str) -> None:
        """Do nothing."""

    def see_what_is_committed(self) -> None:
        """Do nothing: there is one writer at a time."""


def _hex_uuid7() -> str:
    return uuid_utils.uuid7().hex
