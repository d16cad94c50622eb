"""Upserts on SQLite: rows travel into a temporary table; one writer at a time leaves nothing to race for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.sql import SQL, columns, compose, joined, on
from integrity.backends.sqlite.bulk import SQLiteBulk
from integrity.backends.sqlite.catalogue import SQLiteCatalogue
from integrity.backends.sqlite.rows import SQLiteRows
from integrity.backends.statements import Query
from integrity.backends.upsertplan import POSITION, Orphan, UpsertPlan
from integrity.backends.upserts import Upserts

_STAGE = "integrity_rows"


class SQLiteUpserts(Upserts):
    """Asks which rows are there before it writes: RETURNING does not tell a new row from a changed one."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        self.rows = SQLiteRows(connection)
        self.bulk = SQLiteBulk(connection)

    def take_turn(self, table: str) -> None:
        # A transaction of the caller's that has only read must not wait for the write lock: it fails at once.
        if self.connection.in_atomic_block:
            self.rows.execute(compose("DELETE FROM {table} WHERE 1 = 0", table=table))

    def was_inserted(self, plan: UpsertPlan) -> SQL:
        return SQL("NULL")

    def winners(self, plan: UpsertPlan, source: Query) -> SQL:
        return compose(
            """
            SELECT {columns} FROM (
                SELECT {folded}, ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {newest_first}) AS integrity_pos
                FROM {source} AS s
            ) AS w WHERE integrity_pos = 1 ORDER BY {key}
            """,
            key=joined(", ", plan.key),
            columns=columns(plan.columns),
            folded=joined(", ", map(plan.folded, plan.columns)),
            source=source.sql,
            newest_first=plan.newest_first,
        )

    def existing(self, plan: UpsertPlan, source: Query) -> set[tuple[Any, ...]]:
        return self.met(plan, source)

    def differs(self, plan: UpsertPlan) -> SQL:
        return joined(
            " OR ",
            (compose("{new} IS NOT {t}.{c}", new=plan.given(name), c=name, t=plan.table) for name in plan.compared),
        )

    @contextmanager
    def source(self, plan: UpsertPlan, batch: Sequence[tuple[Any, ...]]) -> Iterator[Query]:
        # A table made by a query keeps the affinities: values are converted here as they will be there. It loses the
        # collations: they come from the first part of the union, so that one key here is one key there.
        like = compose(
            "SELECT 0 AS {n}, {columns} FROM {table}", n=POSITION, columns=columns(plan.columns), table=plan.table
        )
        stage = f"{_STAGE}_{crc32(like.encode()):08x}"
        create = "CREATE TEMP TABLE IF NOT EXISTS {stage} AS SELECT * FROM ({like}) AS q WHERE 1 = 0"
        self.rows.execute(compose(create, stage=stage, like=like))
        self.bulk.fill(stage, ((position, *row) for position, row in enumerate(batch)))
        yield Query(sql=compose("({like} WHERE 1 = 0 UNION ALL SELECT * FROM {stage})", like=like, stage=stage))
        self._let_go(stage)

    def _let_go(self, stage: str) -> None:
        """Drop the stage, or leave it empty: no table goes while the rows come from a query on this connection."""
        try:
            self.bulk.drop_stage(stage)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_LOCKED:
                raise
            self.rows.execute(compose("DELETE FROM {stage}", stage=stage))

    def orphans(self, plan: UpsertPlan, source: Query) -> list[Orphan]:
        # SQLite itself says neither which row nor which key, and only at COMMIT.
        if not self.rows.value(SQL("PRAGMA foreign_keys")):
            return []
        found = []
        for key in SQLiteCatalogue(self.connection).foreign_keys(plan.table):
            if not set(key.columns) <= set(plan.columns):
                continue
            lost = compose(
                """
                SELECT {n} FROM {source} AS s
                WHERE {known} AND NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE {same}) ORDER BY {n}
                """,
                n=POSITION,
                source=source.sql,
                known=joined(" AND ", (compose("s.{c} IS NOT NULL", c=name) for name in key.columns)),
                parent=key.target_table,
                same=on("p", key.target_columns, "s", key.columns),
            )
            found += [Orphan(position=n, column=key.columns[0]) for (n,) in self.rows.fetch(lost, source.params)]
        return found

    def lacks_arbiter(self, error: BaseException) -> bool:
        return str(error).startswith("ON CONFLICT clause does not match")  # its code says no more than "error"

    def may_meet_its_own_row(self, error: BaseException) -> bool:
        return False  # there is one writer at a time

    def is_transient(self, error: BaseException, *, key: tuple[str, ...]) -> bool:
        code: int = getattr(error.__cause__, "sqlite_errorcode", 0)
        return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)  # the rest tells only why
