"""SQLite's errors in words. It has one class for most of them; the result code tells them apart."""

from __future__ import annotations

import sqlite3
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.fault import Fault, words

_ADVICE = {
    sqlite3.SQLITE_READONLY: "Make the file and its folder writable for this account, or work on a copy.",
    sqlite3.SQLITE_CANTOPEN: "Check that the folder exists and that this account may read and write it.",
    sqlite3.SQLITE_NOTADB: "Check that the URL names an SQLite file.",
    sqlite3.SQLITE_CORRUPT: "Work on a restored copy; `PRAGMA integrity_check` tells what is damaged.",
}
_UNREADABLE = ("user-defined function raised exception", "user-defined aggregate's 'step'", "Could not decode to UTF-8")
_MISSING = ("no such table", "no such column")


def explain(error: Exception, connection: BaseDatabaseWrapper) -> Fault | None:
    """Explain an error of SQLite, or return None."""
    said = words(error)
    if said.startswith(_MISSING):
        return Fault(
            message=f"Database {connection.alias!r}: {said} Check that it is the right database; "
            "`manage.py migrate` makes or adopts the tables."
        )
    if said.startswith(_UNREADABLE):
        return Fault(
            message=f"Database {connection.alias!r}: a text that had to be read is not UTF-8. Find it by reading the "
            "tables' texts as BLOB (CAST(column AS BLOB)), and store it as UTF-8, or as a BLOB; then run again."
        )
    code: Any = getattr(error.__cause__, "sqlite_errorcode", 0)
    advice = _ADVICE.get(code & 0xFF)  # the rest of an extended code tells only why
    return Fault(message=f"Database {connection.alias!r}: {said} {advice}") if advice else None
