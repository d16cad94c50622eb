"""PostgreSQL's violations, by SQLSTATE and the diagnostic fields: its prose comes in the server's language.

The values stand in the detail alone. Its form, ``... (a, b)=(1, 2) ...``, is the same in every language.
"""

from __future__ import annotations

import re

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql.catalogue import PostgreSQLCatalogue
from integrity.backends.violation import Kind, Violation

_KINDS: dict[str, Kind] = {
    "23505": "unique",
    "23503": "foreign key",
    "23001": "foreign key",  # RESTRICT
    "23514": "check",
    "23502": "not null",
}
_KEY = re.compile(r"\((?P<columns>.*?)\)=\((?P<values>.*)\)", re.DOTALL)
_ROW = re.compile(r"\((?P<values>.*)\)", re.DOTALL)


def read(error: BaseException, connection: BaseDatabaseWrapper) -> Violation:
    """Read the diagnostic fields of a psycopg error."""
    diag = getattr(error, "diag", None)
    kind = _KINDS.get(getattr(error, "sqlstate", None) or "", "other")
    if diag is None:
        return Violation(kind=kind)
    detail = diag.message_detail or ""
    table = diag.table_name or ""
    if kind in ("unique", "foreign key"):
        columns, values = key_of(detail)
    else:
        columns, values = _failing_row(detail, table, connection)
    if diag.column_name:
        columns, values = (diag.column_name,), ()
    return Violation(kind=kind, table=table, constraint=diag.constraint_name or "", columns=columns, values=values)


def key_of(detail: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns and values of ``(a, b)=(1, 2)``; no values where they cannot be told apart."""
    found = _KEY.search(detail)
    if not found:
        return (), ()
    columns = tuple(_unquoted(name) for name in found["columns"].split(", "))
    values = (found["values"],) if len(columns) == 1 else tuple(found["values"].split(", "))
    return columns, values if len(values) == len(columns) else ()


def _failing_row(detail: str, table: str, connection: BaseDatabaseWrapper) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns and values of ``(1, x, null)``: all of the row, in the table's order."""
    found = _ROW.search(detail)
    if not found or connection.in_atomic_block:  # a failed transaction answers no question
        return (), ()
    columns = tuple(column.name for column in PostgreSQLCatalogue(connection).columns(table))
    values = tuple(found["values"].split(", "))
    return (columns, values) if len(values) == len(columns) else ((), ())


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') and name.endswith('"') else name
