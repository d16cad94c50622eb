"""Constraints that the writes stand on, where the migrations do not bring them yet."""

from __future__ import annotations

from tests.databases import Database


def ensure_unique(database: Database, *, table: str, column: str, name: str) -> None:
    """Add a unique index unless there is one of that name."""
    database.execute(f'CREATE UNIQUE INDEX IF NOT EXISTS "{name}" ON "{table}" ("{column}")')
