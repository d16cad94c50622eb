"""What an audit asks of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from integrity.backends.audit_queries import AuditQueries
from integrity.backends.postgresql.catalogue import PostgreSQLCatalogue
from integrity.backends.postgresql.session import settings
from integrity.backends.sql import SQL, compose


class PostgreSQLAuditQueries(AuditQueries):
    """Each block is a transaction of its own, or a savepoint of the caller's: no snapshot is held for long."""

    @contextmanager
    def read_only(self) -> Iterator[None]:
        with transaction.atomic(using=self.rows.connection.alias):
            # Inside a savepoint it ends with the savepoint.
            self.rows.execute(SQL("SET TRANSACTION READ ONLY"))
            # What a policy would hide is an error: a table that is seen in part must not pass for a clean one.
            with settings(self.rows.connection, row_security="off"):
                yield

    def same(self, *, table: str, name: str, target: str, target_name: str) -> SQL:
        # A model may join a uuid with a text; the database, which knows no foreign key there, has no such operator.
        alike = self._type(table, name) == self._type(target, target_name)
        template = "p.{target_name} = c.{name}" if alike else "p.{target_name}::text = c.{name}::text"
        return compose(template, target_name=target_name, name=name)

    def _type(self, table: str, name: str) -> str:
        found = PostgreSQLCatalogue(self.rows.connection).columns(table)
        return next((column.type.partition("(")[0] for column in found if column.name == name), "")
