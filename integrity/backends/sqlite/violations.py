"""SQLite's violations, by extended result code; the names stand after the colon of its (untranslated) message."""

from __future__ import annotations

import re
import sqlite3

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.violation import Kind, Violation

_KINDS: dict[int, Kind] = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: "unique",
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: "unique",
    sqlite3.SQLITE_CONSTRAINT_ROWID: "unique",
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: "foreign key",
    sqlite3.SQLITE_CONSTRAINT_CHECK: "check",
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: "not null",
}
_INDEX = re.compile(r"index '(?P<name>.*)'$")


def read(error: BaseException, _connection: BaseDatabaseWrapper) -> Violation:
    """Read a sqlite3 error. SQLite tells no values, and of a foreign key not even the table."""
    kind = _KINDS.get(getattr(error, "sqlite_errorcode", 0), "other")
    _, _, names = str(error).partition(": ")
    if kind == "check":
        return Violation(kind=kind, constraint=names)
    if index := _INDEX.match(names):
        return Violation(kind=kind, constraint=index["name"])
    parts = [name.rpartition(".") for name in names.split(", ")] if kind in ("unique", "not null") else []
    return Violation(
        kind=kind,
        table=parts[0][0] if parts else "",
        columns=tuple(column for _, _, column in parts),
    )
