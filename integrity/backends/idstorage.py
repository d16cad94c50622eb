"""Ids that a database stores as something else, and the door to what repairs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db import connections

from integrity.backends.sqlite import idstorage as sqlite
from integrity.backends.sqlite.idtables import IdColumn, IdRepair, IdTable
from integrity.backends.uniqueness import Say

__all__ = ["IdColumn", "IdRepair", "IdTable", "repair_ids"]


def repair_ids(
    tables: Sequence[IdTable],
    *,
    using: str,
    quarantine: Callable[[str], str],
    new_id: Callable[[], str],
    say: Say,
) -> tuple[IdRepair, ...]:
    """Repair tables whose id columns corrupt ids, parents before children; empty where none does.

    ``quarantine`` makes and names the side table of a table. Only SQLite has the fault: PostgreSQL's uuid is safe.
    One transaction that holds the write lock; the tables are read once and written once.

    Raises:
        UnrepairableTable: the text of CREATE TABLE is not understood; nothing was changed.
    """
    connection = connections[using]
    if connection.vendor != "sqlite":
        return ()
    return sqlite.repair(tables, connection=connection, quarantine=quarantine, new_id=new_id, say=say)
