"""Many rows at once: temporary tables that are filled from a stream, and ids for rows that the database makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, compose


class Bulk(ABC):
    """Bulk writes on one connection, inside the caller's transaction."""

    rows: Rows

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def create_stage(self, name: str, query: SQL) -> None:
        """Create an empty temporary table with the columns, types and affinities of a query."""
        self.rows.execute(
            compose("CREATE TEMP TABLE {name} AS SELECT * FROM ({query}) AS q WHERE 1 = 0", name=name, query=query)
        )

    def drop_stage(self, name: str) -> None:
        """Drop a temporary table. After an error the end of the transaction does it."""
        self.rows.execute(compose("DROP TABLE {name}", name=name))

    @abstractmethod
    def fill(self, name: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Stream rows, in the order of the table's columns, into a temporary table; memory stays flat.

        Its columns have the types of what comes: 64 bits for any integer.
        """

    @abstractmethod
    def new_ids(self, *, order: SQL) -> SQL:
        """An expression that makes a new time-ordered UUID for each row that a SELECT gives in this order."""

    @abstractmethod
    def lock_name(self, name: str) -> None:
        """Wait until no other transaction holds this name; it is held until the transaction ends."""

    @abstractmethod
    def see_what_is_committed(self) -> None:
        """As the first statement of a transaction: let each statement see what others commit before it."""
