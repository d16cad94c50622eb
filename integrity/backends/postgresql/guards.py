"""Reject new duplicates while old ones are still there: a side table of keys with a real unique index.

Note [The guard]
A trigger enters the key of every inserted row, and of every row whose key changes, into a table with a unique
index; the keys of rows that were there before are filled in afterwards, batch by batch. Only a unique index
sees what other transactions have not committed yet and what a REPEATABLE READ snapshot cannot see; a trigger that
merely looks into the table leaks (docs/decisions/0020-the-guard.md has the measurements).

Each key has a *holder*, the primary key of one row that has it. Deleting a row or changing its key does not
touch the guard: when the key is wanted again, the holder is looked up, and if it is gone the newcomer becomes the
holder. Locking the holder FOR SHARE waits for a transaction that is about to delete it, as the real
index would. A key with ``many`` rows (the old duplicates) is only free when no row at all has it.

A guard is ready once its comment says so (with the definition that it guards); until then nothing relies on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql.catalogue import PostgreSQLCatalogue
from integrity.backends.postgresql.definition import UniqueIndex
from integrity.backends.postgresql.guardcode import function_statement
from integrity.backends.postgresql.keys import KeyParts
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.postgresql.session import patiently
from integrity.backends.rows import numbered
from integrity.backends.sql import SQL, columns, compose, joined, literal
from integrity.backends.uniqueness import NotUnique, Say

_TARGET_TIME = 0.05  # seconds for one batch: a writer that wants a key of the batch waits that long
_FIRST_SIZE, _LARGEST_SIZE = 500, 5000
_WAIT = timedelta(milliseconds=100)  # a batch that meets a writer gives way long before deadlocks are looked for

T = TypeVar("T")


class Guard:
    """The guard of one coming constraint."""

    def __init__(self, *, table: str, index: UniqueIndex, key: KeyParts, connection: BaseDatabaseWrapper) -> None:
        self.table, self.index, self.key, self.connection = table, index, key, connection
        self.rows = PostgreSQLRows(connection)
        self.name = guard_name(table, index.name)
        self.pk = PostgreSQLCatalogue(connection).primary_key(table)
        self.p = numbered("p", len(self.pk))
        types = {column.name: column.type for column in PostgreSQLCatalogue(connection).columns(table)}
        self.pk_types = tuple(types[name] for name in self.pk)

    def set_up(self, *, say: Say) -> None:
        """Make the guard, or take up the one that an addition cut short has left; return once it is ready.

        Making it takes SHARE ROW EXCLUSIVE on the table for a moment; filling it takes no lock on it.

        Raises:
            LockNotFree: that moment did not come.
            NotUnique: the table has no primary key.
        """
        if not self.pk:
            raise NotUnique(f"Table {self.table!r} has no primary key, so its rows cannot be told apart. Add one.")
        if _comment(self.name, self.rows) == self.index.definition:
            say(f"the guard of {self.index.name} is still in place")
            return
        drop_guard(self.table, self.index.name, connection=self.connection, say=say)
        patiently(self.connection, self._create, table=self.table, say=say)
        known = self._fill(say)
        self.rows.execute(
            compose("COMMENT ON TABLE {guard} IS {text}", guard=self.name, text=literal(self.index.definition))
        )
        say(f"new duplicates are rejected from now on ({known} rows known)")

    def _create(self) -> None:
        guard, k = self.name, self.key.names
        self.rows.execute(
            compose(
                "CREATE TABLE {guard} AS SELECT {p}, {k}, FALSE AS many FROM {source} WITH NO DATA",
                guard=guard,
                p=columns(self.p),
                k=columns(k),
                source=self._source(),
            )
        )
        # A publication FOR ALL TABLES would otherwise make every writer fail at the guard's first update.
        self.rows.execute(compose("ALTER TABLE {guard} REPLICA IDENTITY FULL", guard=guard))
        parts = joined(
            ", ", (compose("{name} {kind}", name=n, kind=c) for n, c in zip(k, self.key.classes, strict=True))
        )
        self.rows.execute(
            compose(
                "CREATE UNIQUE INDEX {index} ON {guard} ({parts}) {nulls}",
                index=f"{guard}_key",
                guard=guard,
                parts=parts,
                nulls=SQL("" if self.key.nulls_distinct else "NULLS NOT DISTINCT"),
            )
        )
        path = self.rows.value(SQL("SELECT string_agg(quote_ident(s), ', ') FROM unnest(current_schemas(FALSE)) AS s"))
        self.rows.execute(
            function_statement(
                guard=guard,
                table=self.table,
                constraint=self.index.name,
                key=self.key,
                pk=self.pk,
                path=SQL(str(path).replace("%", "%%")),
            )
        )
        self.rows.execute(
            compose(
                "CREATE TRIGGER {guard} AFTER INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {guard}()",
                guard=guard,
                table=self.table,
            )
        )

    def _fill(self, say: Say) -> int:
        """Enter the keys of all rows in the order of their primary keys; return how many rows there were."""
        known, size = 0, _FIRST_SIZE
        last: tuple[Any, ...] | None = None
        while True:
            began = time.monotonic()
            count, upto = self._briefly(lambda: self._fill_batch(last, size), say)  # noqa: B023 - called at once
            known += count
            if count < size:
                return known
            last = upto
            size = _adapted(size, took=time.monotonic() - began)

    def _fill_batch(self, last: tuple[Any, ...] | None, size: int) -> tuple[int, tuple[Any, ...]]:
        p, k = columns(self.p), columns(self.key.names)
        after, params = self._bound(">", last)
        count, *upto = self.rows.fetch(
            compose(
                """
                WITH batch AS MATERIALIZED (
                    SELECT {p}, {k} FROM {source} WHERE {after} ORDER BY {p} LIMIT %s
                ), entered AS (
                    INSERT INTO {guard} ({p}, {k}, many) SELECT {p}, {k}, FALSE FROM batch ON CONFLICT DO NOTHING
                )
                SELECT (SELECT COUNT(*) FROM batch), {texts} FROM (SELECT 1) AS one
                LEFT JOIN (SELECT {p} FROM batch ORDER BY {descending} LIMIT 1) AS b ON TRUE
                """,
                guard=self.name,
                source=self._source(),
                p=p,
                k=k,
                after=after,
                texts=joined(", ", (compose("{p}::text", p=name) for name in self.p)),
                descending=joined(", ", (compose("{p} DESC", p=name) for name in self.p)),
            ),
            (*params, size),
        )[0]
        if count:
            self._mark_many(last, tuple(upto))
        return int(count), tuple(upto)

    def _mark_many(self, last: tuple[Any, ...] | None, upto: tuple[Any, ...]) -> None:
        after, lower = self._bound(">", last)
        until, upper = self._bound("<=", upto)
        self.rows.execute(
            compose(
                """
                UPDATE {guard} AS g SET many = TRUE FROM {source}
                WHERE {after} AND {until} AND {same} AND ({g_p}) <> ({s_p}) AND NOT g.many
                """,
                guard=self.name,
                source=self._source(),
                after=after,
                until=until,
                same=self.key.same("g", "s"),
                g_p=columns(self.p, of="g"),
                s_p=columns(self.p, of="s"),
            ),
            (*lower, *upper),
        )

    def settle(self, *, say: Say) -> None:
        """Name the one row that is left of each old group as the holder of its key, batch by batch.

        This only makes rejecting faster, so that a key which somebody is asking for just now is passed over.
        """
        settled = f"{self.name}_settled"
        self.rows.execute(
            compose(
                """
                CREATE TEMPORARY TABLE {settled} AS SELECT row_number() OVER () AS n, s.*
                FROM {guard} AS g JOIN {source} ON {same} WHERE g.many
                """,
                settled=settled,
                guard=self.name,
                source=self._source(),
                same=self.key.same("g", "s"),
            )
        )
        try:
            total = self.rows.value(compose("SELECT COUNT(*) FROM pg_temp.{settled}", settled=settled))
            for start in range(0, int(total), _FIRST_SIZE):
                self._briefly(lambda: self._settle_batch(settled, start), say)  # noqa: B023 - called at once
        finally:
            self.rows.execute(compose("DROP TABLE pg_temp.{settled}", settled=settled))

    def _settle_batch(self, settled: str, start: int) -> None:
        holders = (compose("{p} = s.{p}", p=name) for name in self.p)
        self.rows.execute(
            compose(
                """
                WITH free AS MATERIALIZED (
                    SELECT {k}, {p} FROM {guard} AS g JOIN pg_temp.{settled} AS s ON {same}
                    WHERE s.n > %s AND s.n <= %s FOR UPDATE OF g SKIP LOCKED
                )
                UPDATE {guard} AS g SET many = FALSE, {holders} FROM free AS s WHERE {same}
                """,
                guard=self.name,
                settled=settled,
                k=columns(self.key.names, of="s"),
                p=columns(self.p, of="s"),
                holders=joined(", ", holders),
                same=self.key.same("g", "s"),
            ),
            (start, start + _FIRST_SIZE),
        )

    def _briefly(self, step: Callable[[], T], say: Say) -> T:
        def by_index() -> T:
            # The guard grows faster than its statistics: the planner would read all of it for every batch.
            self.rows.execute(
                SQL("SELECT set_config(p, 'off', TRUE) FROM unnest(%s::text[]) AS p"),
                (["enable_seqscan", "enable_hashjoin", "enable_mergejoin"],),
            )
            return step()

        return patiently(self.connection, by_index, table=self.name, say=say, longest_wait=_WAIT)

    def _source(self) -> SQL:
        """The rows that the constraint covers, as ``s``: primary key and key under the guard's names."""
        pk = (compose("{c} AS {p}", c=c, p=p) for c, p in zip(self.pk, self.p, strict=True))
        return compose(
            "(SELECT {pk}, {key} FROM {table} AS t WHERE {covered}) AS s",
            pk=joined(", ", pk),
            key=self.key.selected,
            table=self.table,
            covered=self.key.covered,
        )

    def _bound(self, operator: str, values: tuple[Any, ...] | None) -> tuple[SQL, tuple[Any, ...]]:
        """Condition: the row's primary key lies on one side of these values, given as text."""
        if values is None:
            return SQL("TRUE"), ()
        marks = joined(", ", (f"CAST(%s AS {kind})" for kind in self.pk_types))
        return compose("({p}) {op} ({marks})", p=columns(self.p, of="s"), op=SQL(operator), marks=marks), values


def guard_name(table: str, constraint: str) -> str:
    """What the guard's table, function and trigger are called."""
    return f"integrity_guard_{sha256(f'{table}.{constraint}'.encode()).hexdigest()[:12]}"


def drop_guard(table: str, constraint: str, *, connection: BaseDatabaseWrapper, say: Say) -> None:
    """Remove the guard if it is there, in whatever state. Takes ACCESS EXCLUSIVE on the table for a moment."""
    rows, name = PostgreSQLRows(connection), guard_name(table, constraint)
    if rows.value(SQL("SELECT to_regclass(%s) IS NOT NULL"), (name,)):
        patiently(connection, lambda: drop_guard_now(table, constraint, rows=rows), table=table, say=say)


def drop_guard_now(table: str, constraint: str, *, rows: PostgreSQLRows) -> None:
    """The same inside the caller's transaction."""
    name = guard_name(table, constraint)
    rows.execute(compose("DROP TRIGGER IF EXISTS {name} ON {table}", name=name, table=table))
    rows.execute(compose("DROP FUNCTION IF EXISTS {name}()", name=name))
    rows.execute(compose("DROP TABLE IF EXISTS {name}", name=name))


def _comment(name: str, rows: PostgreSQLRows) -> str | None:
    found = rows.value(SQL("SELECT obj_description(to_regclass(%s), 'pg_class')"), (name,))
    return None if found is None else str(found)


def _adapted(size: int, *, took: float) -> int:
    """The size with which a batch would have met its target time, changed by no more than a factor of two."""
    return int(max(_FIRST_SIZE, size / 2, min(size * _TARGET_TIME / max(took, 0.001), size * 2, _LARGEST_SIZE)))
