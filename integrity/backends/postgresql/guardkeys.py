"""The keys in a guard: those of the rows that are there, and who holds each; see Note [The guard]."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql.catalogue import PostgreSQLCatalogue
from integrity.backends.postgresql.keys import KeyParts
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.postgresql.session import patiently
from integrity.backends.rows import numbered
from integrity.backends.sql import SQL, columns, compose, joined
from integrity.backends.uniqueness import Say

_TARGET_TIME = 0.05  # seconds for one batch: a writer that wants a key of the batch waits that long
_FIRST_SIZE, _LARGEST_SIZE = 500, 5000
_WAIT = timedelta(milliseconds=100)  # a batch that meets a writer gives way long before deadlocks are looked for

T = TypeVar("T")


class GuardKeys:
    """Fills the table of one guard in short batches, while the guard's trigger enters what writers write."""

    def __init__(self, *, guard: str, table: str, key: KeyParts, connection: BaseDatabaseWrapper) -> None:
        self.guard, self.table, self.key, self.connection = guard, table, key, connection
        self.rows = PostgreSQLRows(connection)
        catalogue = PostgreSQLCatalogue(connection)
        self.pk = catalogue.primary_key(table)
        self.p = numbered("p", len(self.pk))
        types = {column.name: column.type for column in catalogue.columns(table)}
        self.pk_types = tuple(types[name] for name in self.pk)

    def fill(self, *, say: Say) -> int:
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
                guard=self.guard,
                source=self.source,
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
                guard=self.guard,
                source=self.source,
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
        settled = f"{self.guard}_settled"
        self.rows.execute(
            compose(
                """
                CREATE TEMPORARY TABLE {settled} AS SELECT row_number() OVER () AS n, s.*
                FROM {guard} AS g JOIN {source} ON {same} WHERE g.many
                """,
                settled=settled,
                guard=self.guard,
                source=self.source,
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
                guard=self.guard,
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

        return patiently(self.connection, by_index, table=self.guard, say=say, longest_wait=_WAIT)

    @property
    def source(self) -> SQL:
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


def _adapted(size: int, *, took: float) -> int:
    """The size with which a batch would have met its target time, changed by no more than a factor of two."""
    return int(max(_FIRST_SIZE, size / 2, min(size * _TARGET_TIME / max(took, 0.001), size * 2, _LARGEST_SIZE)))
