"""Bulk writes on PostgreSQL: COPY, ids by the server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.bulk import Bulk
from integrity.backends.postgresql.catalogue import PostgreSQLCatalogue
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.postgresql.travelling import BINARY
from integrity.backends.sql import SQL, compose

_ID_PREFIX = SQL("""(
    SELECT lpad(to_hex((EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14, 11)
)""")
"""The first 24 digits of a UUIDv7, made once in a statement: the time, the version, 42 random bits with the variant.

Each row's number fills the rest (RFC 9562, 6.2, a counter): a random UUID for each would cost 4 us, this costs 0.3.
"""


class PostgreSQLBulk(Bulk):
    """A temporary table belongs to the session: everything that uses it happens in one transaction."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        self.rows = PostgreSQLRows(connection)

    def fill(self, name: str, rows: Iterable[tuple[Any, ...]]) -> None:
        columns = PostgreSQLCatalogue(self.connection).columns(name)
        types = [column.type for column in columns]
        binary = BINARY.issuperset(types)
        into = compose("COPY {name} FROM STDIN {format}", name=name, format=SQL("(FORMAT BINARY)" if binary else ""))
        statement = into.replace("%%", "%")  # takes no parameters
        # Django's cursor lets the errors of COPY pass as the driver's own.
        with self.connection.wrap_database_errors, self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            if binary:
                copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def new_ids(self, *, order: SQL) -> SQL:
        number = compose("lpad(to_hex(row_number() OVER (ORDER BY {order})), 8, '0')", order=order)
        return compose("({prefix} || {number})::uuid", prefix=_ID_PREFIX, number=number)

    def lock_name(self, name: str) -> None:
        self.rows.fetch(SQL("SELECT pg_advisory_xact_lock(hashtext('integrity'), hashtext(%s))"), (name,))

    def see_what_is_committed(self) -> None:
        self.rows.execute(SQL("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"))
