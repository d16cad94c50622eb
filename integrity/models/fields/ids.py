"""Ids: made by the database where the original's table has such a default, by Python elsewhere."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Func, UUIDField
from django.db.models.sql.compiler import SQLCompiler
from uuid_utils import compat


class RandomUUID(Func):
    """A random id made by the database, for ``db_default``: a uuid, or 32 hex digits on SQLite."""

    function = "gen_random_uuid"
    arity = 0
    output_field = UUIDField()

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra_context: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        """Write the same for SQLite, which has no uuid function; the version bits stay random."""
        sql, params = self.as_sql(compiler, connection, template="LOWER(HEX(RANDOMBLOB(16)))", **extra_context)
        return sql, tuple(params)


class TimeOrderedUUID(RandomUUID):
    """The same, ordered by time where the database can make such: PostgreSQL 18 has ``uuidv7()``."""

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra_context: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        """Choose the function by the server's version."""
        version: int = getattr(connection, "pg_version", 0)
        function = "uuidv7" if version >= 180000 else self.function
        sql, params = self.as_sql(compiler, connection, function=function, **extra_context)
        return sql, tuple(params)


def uuid7() -> UUID:
    """Return a time-ordered id: RFC 9562 version 7. A name of our own, since migrations keep it."""
    return compat.uuid7()
