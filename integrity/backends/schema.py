"""The door to changes of a table that is in use: indexes, foreign keys, columns, defaults."""

from __future__ import annotations

from typing import Protocol

from integrity.backends.postgresql.schema import PostgreSQLSchema
from integrity.backends.sql import SQL
from integrity.backends.sqlite.schema import SQLiteSchema
from integrity.backends.supported import supported_connection
from integrity.backends.uniqueness import Say


class Schema(Protocol):
    """Small changes of one table, each of which waits only briefly for locks and can be done again."""

    def drop_index(self, table: str, name: str, *, say: Say) -> None:
        """Drop an index that no constraint owns."""
        ...

    def create_index(self, table: str, name: str, statement: SQL, *, say: Say) -> None:
        """Run a CREATE INDEX statement, concurrently where there is such a thing.

        Raises:
            PartitionedTable: PostgreSQL cannot on this one.
        """
        ...

    def foreign_key(self, table: str, name: str) -> str | None:
        """Return the statement that makes this foreign key; None where it is absent or cannot be changed."""
        ...

    def drop_foreign_key(self, table: str, name: str, *, say: Say) -> None:
        """Drop it."""
        ...

    def restore_foreign_key(self, table: str, name: str, statement: str, *, say: Say) -> None:
        """Run such a statement; rows that break the foreign key are let be."""
        ...

    def set_on_delete(self, table: str, name: str, action: str, *, say: Say) -> str | None:
        """Give a foreign key another ON DELETE and return the one it had; None where there was nothing to do."""
        ...

    def add_column(self, table: str, definition: SQL, *, say: Say) -> None:
        """Add a column, written as in CREATE TABLE; its default must be constant."""
        ...

    def drop_column(self, table: str, name: str, *, say: Say) -> None:
        """Drop a column with its values."""
        ...

    def set_default(self, table: str, column: str, expression: SQL | None, *, say: Say) -> bool:
        """Set or drop what the database puts where an INSERT gives no value; False where it cannot be changed."""
        ...


_KINDS: dict[str, type[PostgreSQLSchema | SQLiteSchema]] = {"postgresql": PostgreSQLSchema, "sqlite": SQLiteSchema}


def get_schema(*, using: str) -> Schema:
    """Return what changes tables on a database alias.

    Raises:
        UnsupportedDatabase: the alias is neither PostgreSQL by psycopg 3 nor SQLite.
    """
    connection = supported_connection(using)
    return _KINDS[connection.vendor](connection)
