"""Statements and short transactions on one connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.sql import SQL


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A composed SELECT and its parameters."""

    sql: SQL
    params: tuple[Any, ...] = ()


class Statements(ABC):
    """Statements that belong to no table. They run inside the caller's transaction unless they say otherwise."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def execute(self, sql: SQL, params: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it touched."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, tuple(params))
            return int(cursor.rowcount)

    def execute_many(self, sql: SQL, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters."""
        with self.connection.cursor() as cursor:
            cursor.executemany(sql, rows)

    def fetch(self, sql: SQL, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query whose answer is small, and return all of it."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, tuple(params))
            return list(cursor.fetchall())

    def value(self, sql: SQL, params: Sequence[Any] = ()) -> Any:
        """The first column of the first row."""
        return self.fetch(sql, params)[0][0]

    def stream(self, query: Query, *, size: int = 2000) -> Iterator[tuple[Any, ...]]:
        """Yield a query's rows with flat client memory. On PostgreSQL it needs an open transaction."""
        with self.connection.chunked_cursor() as cursor:
            self.prepare_stream(cursor)
            cursor.execute(query.sql, query.params)
            while rows := cursor.fetchmany(size):
                yield from rows

    def prepare_stream(self, cursor: Any) -> None:  # noqa: B027 - for Python has all that SQLite can hold
        """Let a cursor take every value that the database may hold."""

    @contextmanager
    def batch(self, *, lock_timeout: timedelta, limit: timedelta | None = None) -> Iterator[None]:
        """A short transaction that takes part in the caller's, if one is open.

        With a ``limit``, a statement that takes longer is ended, unless the locks are a caller's transaction's anyway.
        """
        outermost = not self.connection.in_atomic_block
        with (
            self.writing(),
            transaction.atomic(using=self.connection.alias),
            self.batch_settings(lock_timeout=lock_timeout, limit=limit, outermost=outermost),
        ):
            yield

    @abstractmethod
    def writing(self) -> AbstractContextManager[None]:
        """Make the transaction begun inside it one that can write from its start."""

    @abstractmethod
    def batch_settings(
        self, *, lock_timeout: timedelta, limit: timedelta | None, outermost: bool
    ) -> AbstractContextManager[None]:
        """What holds for this batch only; ``outermost`` tells that its transaction has just begun."""

    @contextmanager
    def foreign_keys_unchecked(self) -> Iterator[None]:
        """Let the transactions begun inside write rows whose parents are missing; PostgreSQL wants a superuser."""
        self.connection.disable_constraint_checking()
        try:
            yield
        finally:
            self.connection.enable_constraint_checking()

    @abstractmethod
    def defer_constraints(self) -> None:
        """Let foreign keys be checked later in this transaction, as far as they can be."""

    @abstractmethod
    def check_constraints_now(self) -> None:
        """Let deferred foreign keys fail here, inside the batch, and not at its commit."""

    @abstractmethod
    def hold_schema(self, tables: Sequence[str]) -> str:
        """Let nobody alter these tables until the transaction ends; return a mark of their columns and references.

        Marks differ where the columns do, or the foreign keys that the database knows.
        """

    @abstractmethod
    def claim_table(self, table: str, *, lane: int | None = None) -> bool:
        """Whether this transaction, and no other run's, may change the table; held until it ends.

        With a ``lane``, transactions with other lanes may as well.
        """
