"""Small changes of a table of SQLite, none of which rebuilds it. What would need that is left as it is."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity import conf
from integrity.backends.sql import SQL, compose
from integrity.backends.sqlite.catalogue import SQLiteCatalogue
from integrity.backends.sqlite.rows import SQLiteRows
from integrity.backends.uniqueness import Say


class SQLiteSchema:
    """Changes on one connection, each in a transaction that can write from its start."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.rows = SQLiteRows(connection)
        self.catalogue = SQLiteCatalogue(connection)

    def drop_index(self, table: str, name: str, *, say: Say) -> None:
        self._change(compose("DROP INDEX IF EXISTS {name}", name=name))

    def create_index(self, table: str, name: str, statement: SQL, *, say: Say) -> None:
        if all(index.name != name for index in self.catalogue.indexes(table)):
            self._change(statement)

    def foreign_key(self, table: str, name: str) -> str | None:
        return None

    def drop_foreign_key(self, table: str, name: str, *, say: Say) -> None:
        say(f"{table}: SQLite has foreign keys in CREATE TABLE only, so {name} stays")

    def restore_foreign_key(self, table: str, name: str, statement: str, *, say: Say) -> None:
        say(f"{table}: SQLite has foreign keys in CREATE TABLE only, so {name} is not added")

    def set_on_delete(self, table: str, name: str, action: str, *, say: Say) -> str | None:
        return None

    def add_column(self, table: str, definition: SQL, *, say: Say) -> None:
        self._change(compose("ALTER TABLE {table} ADD COLUMN {definition}", table=table, definition=definition))

    def drop_column(self, table: str, name: str, *, say: Say) -> None:
        if any(column.name == name for column in self.catalogue.columns(table)):
            self._change(compose("ALTER TABLE {table} DROP COLUMN {name}", table=table, name=name))

    def set_default(self, table: str, column: str, expression: SQL | None, *, say: Say) -> bool:
        return False

    def _change(self, statement: SQL) -> None:
        with self.rows.batch(lock_timeout=conf.lock_timeout()):
            self.rows.execute(statement)
