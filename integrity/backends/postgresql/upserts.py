"""Upserts on PostgreSQL: few rows travel in the statement, many by COPY into a temporary table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import ProgrammingError
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql.bulk import PostgreSQLBulk
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.postgresql.travelling import CAST_TYPES, stage_type
from integrity.backends.postgresql.violations import key_of
from integrity.backends.sql import SQL, columns, compose, joined
from integrity.backends.statements import Query
from integrity.backends.upsertplan import POSITION, Orphan, UpsertPlan
from integrity.backends.upserts import Upserts

FEW_VALUES = 2000
"""Up to so many values, a statement with all of them is faster than a temporary table."""

_STAGE = "integrity_rows"
_SERIALIZATION_FAILURE, _DEADLOCK, _UNIQUE_VIOLATION = "40001", "40P01", "23505"
_INVALID_COLUMN_REFERENCE = "42P10"
_OF_A_CONCURRENT_BUILD = re.compile(r"_cc(new|old)\d*$")


class PostgreSQLUpserts(Upserts):
    """Classifies by what RETURNING tells; conflicting rows stay locked until the transaction ends."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        self.rows = PostgreSQLRows(connection)
        self.bulk = PostgreSQLBulk(connection)
        self._types: dict[str, dict[str, tuple[SQL, SQL]]] = {}

    def take_turn(self, table: str) -> None:
        """Do nothing: writers wait for each other's rows, whenever they come to them."""

    def was_inserted(self, plan: UpsertPlan) -> SQL:
        if self._returns_old:
            return compose("old.{pk} IS NULL", pk=plan.pk[0])
        return SQL("NULL::boolean" if self._is_partitioned(plan.table) else "xmax = 0")

    def winners(self, plan: UpsertPlan, source: Query) -> SQL:
        return compose(
            "SELECT DISTINCT ON ({key}) {folded} FROM {source} AS s ORDER BY {key}, {newest_first}",
            key=joined(", ", plan.key),
            folded=joined(", ", map(plan.folded, plan.columns)),
            source=source.sql,
            newest_first=plan.newest_first,
        )

    def existing(self, plan: UpsertPlan, source: Query) -> set[tuple[Any, ...]]:
        # A row that another writer adds after this counts as inserted by both. There is no better way before 18.
        ask_first = not self._returns_old and self._is_partitioned(plan.table)
        return self.met(plan, source) if ask_first else set()

    @property
    def _returns_old(self) -> bool:
        version: int = getattr(self.connection, "pg_version", 0)
        return version >= 180000

    def _is_partitioned(self, table: str) -> bool:
        """Whether rows lie in partitions, of which RETURNING gives no system columns."""
        name = self.connection.ops.quote_name(table)
        sql = SQL("SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = to_regclass(%s)")
        return bool(self.rows.value(sql, (name,)))

    def differs(self, plan: UpsertPlan) -> SQL:
        # Compared as stored, byte by byte: json, xml and geometric types have no equality of their own.
        return compose(
            "ROW({own})::record *<> ROW({new})::record",
            own=columns(plan.compared, of=plan.table),
            new=joined(", ", map(plan.given, plan.compared)),
        )

    @contextmanager
    def source(self, plan: UpsertPlan, batch: Sequence[tuple[Any, ...]]) -> Iterator[Query]:
        casts, collated = zip(*self._cast_types(plan), strict=True)
        few = len(batch) * len(plan.columns) <= FEW_VALUES
        staged = None if few or not self._may_stage() else _stage_types(batch, casts)
        if staged is None:
            yield self._values(plan, batch, collated)
            return
        empty = _each("NULL::{kind} AS {name}", plan.columns, staged)
        self.bulk.create_stage(_STAGE, compose("SELECT 0::bigint AS {n}, {empty}", n=POSITION, empty=empty))
        self.bulk.fill(_STAGE, ((position, *row) for position, row in enumerate(batch)))
        brought = _each("{name}::{kind} AS {name}", plan.columns, collated)
        yield Query(
            sql=compose("(SELECT {n}, {brought} FROM {stage})", n=POSITION, brought=brought, stage=_STAGE),
        )
        self.bulk.drop_stage(_STAGE)

    def _values(self, plan: UpsertPlan, batch: Sequence[tuple[Any, ...]], casts: Sequence[SQL]) -> Query:
        one = joined(", ", (f"(%s)::{kind}" for kind in casts))  # in brackets: a minus sign binds less than the cast
        return Query(
            sql=compose(
                "(SELECT * FROM (VALUES {rows}) AS v ({n}, {columns}))",
                rows=joined(", ", (f"({position}, {one})" for position in range(len(batch)))),
                n=POSITION,
                columns=columns(plan.columns),
            ),
            params=tuple(value for row in batch for value in row),
        )

    def _may_stage(self) -> bool:
        return bool(self.rows.value(SQL("SELECT has_database_privilege(current_database(), 'TEMP')")))

    def _cast_types(self, plan: UpsertPlan) -> list[tuple[SQL, SQL]]:
        """What the values of the plan's columns are cast to, without and with the column's collation."""
        if plan.table not in self._types:
            found = self.rows.fetch(CAST_TYPES, (self.connection.ops.quote_name(plan.table),))
            self._types[plan.table] = {name: (SQL(kind), SQL(kind + collation)) for name, kind, collation in found}
        types = self._types[plan.table]
        if missing := [name for name in plan.columns if name not in types]:
            raise ProgrammingError(
                f"Table {plan.table!r} has no column {', '.join(map(repr, missing))} in database "
                f"{self.connection.alias!r}, or is not there. Run `manage.py migrate` first."
            )
        return [types[name] for name in plan.columns]

    def orphans(self, plan: UpsertPlan, source: Query) -> list[Orphan]:
        self.rows.check_constraints_now()
        return []

    def lacks_arbiter(self, error: BaseException) -> bool:
        return getattr(error.__cause__, "sqlstate", None) == _INVALID_COLUMN_REFERENCE

    def may_meet_its_own_row(self, error: BaseException) -> bool:
        # ON CONFLICT looks for the target's key first; a row whose insertion is under way may have an entry in the
        # index of another key by then, and none yet in that of the target's.
        return getattr(error.__cause__, "sqlstate", None) == _UNIQUE_VIOLATION

    def is_transient(self, error: BaseException, *, key: tuple[str, ...]) -> bool:
        # A duplicate of the target's own key is what ON CONFLICT is for: reported all the same, it comes from an
        # index on that key that is just being built or replaced.
        state = getattr(error.__cause__, "sqlstate", None)
        if state != _UNIQUE_VIOLATION:
            return state in (_SERIALIZATION_FAILURE, _DEADLOCK)
        diag: Any = getattr(error.__cause__, "diag", None)
        name, detail = diag.constraint_name or "", diag.message_detail or ""
        return bool(_OF_A_CONCURRENT_BUILD.search(name)) or key_of(detail)[0] == key


def _stage_types(batch: Sequence[tuple[Any, ...]], casts: Sequence[SQL]) -> list[SQL] | None:
    """The types of the stage's columns; None where a column's values cannot be staged."""
    staged = []
    for place, cast in enumerate(casts):
        kind = stage_type([row[place] for row in batch], cast=cast)
        if kind is None:
            return None
        staged.append(kind)
    return staged


def _each(template: str, names: Iterable[str], kinds: Iterable[SQL]) -> SQL:
    return joined(", ", (compose(template, name=name, kind=kind) for name, kind in zip(names, kinds, strict=True)))
