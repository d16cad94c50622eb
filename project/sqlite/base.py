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
        path = Path(conn_params["database"])
        if not self.is_in_memory_db():
            if not path.exists():
                raise OperationalError(
                    f"There is no SQLite file {path}. Correct DATABASE_URL, or make an empty one: touch '{path}'"
                )
            if path.is_dir():
                raise OperationalError(f"{path} is a folder, not an SQLite file. Correct DATABASE_URL.")
        try:
            connection: sqlite3.Connection = super().get_new_connection(conn_params)
        except sqlite3.OperationalError as error:
            raise OperationalError(f"SQLite file {path}: {error}") from error
        return connection
