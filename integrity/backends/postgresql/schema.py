"""Small changes of a table that others go on using: no lock is waited for long, none is held during a scan."""

from __future__ import annotations

import re

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql import builds
from integrity.backends.postgresql.catalogue import PostgreSQLCatalogue
from integrity.backends.postgresql.preflight import is_partitioned
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.postgresql.session import patiently, settings
from integrity.backends.sql import SQL, compose, relation
from integrity.backends.uniqueness import Say
from integrity.exceptions import IntegrityAppError

_ON_DELETE = re.compile(r" ON DELETE (?:NO ACTION|RESTRICT|CASCADE|SET (?:NULL|DEFAULT)(?: \([^)]*\))?)")
_TAIL = re.compile(r"((?: DEFERRABLE.*)?)( NOT VALID)?$")


class OrphansFound(IntegrityAppError):
    """Rows reference what is not there, so that a foreign key cannot be checked."""


class PartitionedTable(IntegrityAppError):
    """An index is to be built on a table that has partitions."""


class PostgreSQLSchema:
    """Changes on one connection, which must not be inside a transaction."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.rows = PostgreSQLRows(connection)
        self.catalogue = PostgreSQLCatalogue(connection)

    def drop_index(self, table: str, name: str, *, say: Say) -> None:
        builds.drop(table, name, connection=self.connection)

    def create_index(self, table: str, name: str, statement: SQL, *, say: Say) -> None:
        found = next((index for index in self.catalogue.indexes(table) if index.name == name), None)
        if found is not None and found.valid:
            return
        if is_partitioned(table, connection=self.connection):
            raise PartitionedTable(
                f"The table {table!r} is partitioned, and PostgreSQL builds no index on such a table concurrently. "
                f"Create {name!r} ON ONLY it, build the same concurrently on each partition, and attach these with "
                "ALTER INDEX ... ATTACH PARTITION; then run this again."
            )
        if found is not None:
            builds.drop(table, name, connection=self.connection)
        concurrently = re.sub(r"^(CREATE (?:UNIQUE )?INDEX)(?! CONCURRENTLY)", r"\1 CONCURRENTLY", statement)
        with settings(self.connection, lock_timeout="0", statement_timeout="0", transaction_timeout="0"):
            self.rows.execute(SQL(concurrently))

    def foreign_key(self, table: str, name: str) -> str | None:
        definition = self._definition(table, name)
        return definition and f"{compose('ALTER TABLE {t} ADD CONSTRAINT {n}', t=table, n=name) % ()} {definition}"

    def drop_foreign_key(self, table: str, name: str, *, say: Say) -> None:
        drop = compose("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}", table=table, name=name)
        patiently(self.connection, lambda: self.rows.execute(drop), table=table, say=say)

    def restore_foreign_key(self, table: str, name: str, statement: str, *, say: Say) -> None:
        if self._definition(table, name) is None:
            add = SQL(_not_valid(statement).replace("%", "%%"))
            patiently(self.connection, lambda: self.rows.execute(add), table=table, say=say)
        try:
            self._validate(table, name)
        except IntegrityError as error:
            say(f"{name} holds for new rows only, because of old ones: {str(error).splitlines()[-1]}")

    def set_on_delete(self, table: str, name: str, action: str, *, say: Say) -> str | None:
        before = self._action(table, name)
        if before is None or before == action:
            return None
        new = f"{name[:52]}_integrity"
        if self._definition(table, new) is None:
            definition = _with_on_delete(self._definition(table, name) or "", action)
            add = compose(
                "ALTER TABLE {table} ADD CONSTRAINT {new} {definition}",
                table=table,
                new=new,
                definition=SQL(_not_valid(definition).replace("%", "%%")),
            )
            patiently(self.connection, lambda: self.rows.execute(add), table=table, say=say)
        try:
            self._validate(table, new)
        except IntegrityError as error:
            self.drop_foreign_key(table, new, say=say)
            raise OrphansFound(
                f"{name} cannot become ON DELETE {action}, because rows of {table!r} reference what is not there: "
                f"{str(error).splitlines()[-1]} Settle them (manage.py audit lists them), then run this again."
            ) from error
        patiently(self.connection, lambda: self._exchange(table, name, new), table=table, say=say)
        return before

    def _exchange(self, table: str, name: str, new: str) -> None:
        self.rows.execute(compose("ALTER TABLE {table} DROP CONSTRAINT {name}", table=table, name=name))
        self.rows.execute(
            compose("ALTER TABLE {table} RENAME CONSTRAINT {new} TO {name}", table=table, new=new, name=name)
        )

    def add_column(self, table: str, definition: SQL, *, say: Say) -> None:
        add = compose("ALTER TABLE {table} ADD COLUMN {definition}", table=table, definition=definition)
        patiently(self.connection, lambda: self.rows.execute(add), table=table, say=say)

    def drop_column(self, table: str, name: str, *, say: Say) -> None:
        drop = compose("ALTER TABLE {table} DROP COLUMN IF EXISTS {name}", table=table, name=name)
        patiently(self.connection, lambda: self.rows.execute(drop), table=table, say=say)

    def set_default(self, table: str, column: str, expression: SQL | None, *, say: Say) -> bool:
        change = compose(
            "ALTER TABLE {table} ALTER COLUMN {column} {change}",
            table=table,
            column=column,
            change=SQL("DROP DEFAULT") if expression is None else compose("SET DEFAULT {value}", value=expression),
        )
        patiently(self.connection, lambda: self.rows.execute(change), table=table, say=say)
        return True

    def _validate(self, table: str, name: str) -> None:
        """Check the rows that are there. SHARE UPDATE EXCLUSIVE: writers go on."""
        with settings(self.connection, statement_timeout="0", transaction_timeout="0"):
            self.rows.execute(compose("ALTER TABLE {table} VALIDATE CONSTRAINT {name}", table=table, name=name))

    def _definition(self, table: str, name: str) -> str | None:
        found = self.rows.fetch(
            SQL(
                "SELECT pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint "
                "WHERE conrelid = to_regclass(%s) AND conname = %s AND contype = 'f'"
            ),
            (relation(table), name),
        )
        return str(found[0][0]) if found else None

    def _action(self, table: str, name: str) -> str | None:
        return next((key.on_delete for key in self.catalogue.foreign_keys(table) if key.name == name), None)


def _with_on_delete(definition: str, action: str) -> str:
    return _TAIL.sub(rf" ON DELETE {action}\1", _ON_DELETE.sub("", definition), count=1)


def _not_valid(statement: str) -> str:
    return statement if statement.endswith(" NOT VALID") else f"{statement} NOT VALID"
