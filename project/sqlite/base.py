"""The engine ``project.sqlite``."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

from project.sqlite.schema import DatabaseSchemaEditor


class DatabaseWrapper(base.DatabaseWrapper):
    """SQLite on a file that must exist: a mistyped path must not become a new, empty database."""

    SchemaEditorClass = DatabaseSchemaEditor

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        """Open the file.

        Raises:
            OperationalError: it is not there, or not a file that can be opened.
        """
        name = str(conn_params["database"])
        if not name.startswith("file:") and not self.is_in_memory_db():
            require_file(Path(name))
        try:
            connection: sqlite3.Connection = super().get_new_connection(conn_params)
            connection.execute("PRAGMA schema_version")  # SQLite looks at the file at the first statement only
        except sqlite3.DatabaseError as error:
            raise OperationalError(f"SQLite file {name}: {error}") from error
        return connection


def require_file(path: Path) -> None:
    """Return if there is a file at ``path``.

    Raises:
        OperationalError: there is none, or there cannot be one.
    """
    try:
        exists = path.exists()
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise OperationalError(f"SQLite file {path}: {error.strerror}. Correct DATABASE_URL.") from error
    if not exists:
        raise OperationalError(
            f"There is no SQLite file {path}. Correct DATABASE_URL, or make an empty one: touch '{path}'"
        )
    if path.is_dir():
        raise OperationalError(f"{path} is a folder, not an SQLite file. Correct DATABASE_URL.")
