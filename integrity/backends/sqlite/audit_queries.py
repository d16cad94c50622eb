"""What an audit asks of SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from integrity.backends.audit_queries import AuditQueries
from integrity.backends.sql import SQL, compose
from integrity.backends.sqlite.types import affinity


class SQLiteAuditQueries(AuditQueries):
    """``PRAGMA query_only`` does for the connection what a read-only transaction does elsewhere."""

    @contextmanager
    def read_only(self) -> Iterator[None]:
        before = bool(self.rows.value(SQL("PRAGMA query_only")))
        self.rows.execute(SQL("PRAGMA query_only = ON"))
        try:
            yield
        finally:
            if not before:
                self.rows.execute(SQL("PRAGMA query_only = OFF"))

    def same(self, *, table: str, name: str, target: str, target_name: str) -> SQL:
        # The plus takes the column's affinity away: the target's own then decides, as in its index, and an id that was
        # stored as REAL in a column of type UUID does not pass for the text that it was made from.
        return compose("p.{target_name} = +c.{name}", target_name=target_name, name=name)

    def converts_ids(self, declared: str) -> bool:
        return affinity(declared) in ("NUMERIC", "INTEGER", "REAL")

    def converted_ids(self, *, table: str, name: str) -> int:
        return int(
            self.rows.value(
                compose(
                    "SELECT COUNT(*) FROM {table} WHERE typeof({name}) IN ('real', 'integer')", table=table, name=name
                )
            )
        )
