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
from integrity.backends.sql import SQL, columns, compose, joined, numbered
from integrity.backends.uniqueness import Say

_TARGET_TIME = 0.05  # seconds for one batch: a writer that wants a key of the batch waits that long
_FIRST_SIZE, _LARGEST_SIZE = 500, 5000
_WAIT = timedelta(milliseconds=100)  # a batch that meets a writer gives way long before deadlocks are looked for

T = TypeVar("T")


def members_name(guard: str) -> str:
    """What the table is called that names the other rows of keys that have many."""
    return f"{guard}_members"


class GuardKeys:
    """Fills the table of one guard in short batches, while the guard's trigger enters what writers write."""

    def __init__(self, *, guard: str, table: str, key: KeyParts, connection: BaseDatabaseWrapper) -> None:
        self.guard, self.table, self.key, self.connection = guard, table, key, connection
        self.members = members_name(guard)
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
        """Note the rows of the batch whose key another row holds."""
        after, lower = self._bound(">", last)
        until, upper = self._bound("<=", upto)
        self.rows.execute(
            compose(
                """
                WITH again AS MATERIALIZED (
                    SELECT {s_p}, {s_k} FROM {source} JOIN {guard} AS g ON {same}
                    WHERE {after} AND {until} AND ({g_p}) <> ({s_p})
                ), marked AS (
                    UPDATE {guard} AS g SET many = TRUE FROM again AS s WHERE {same} AND NOT g.many
                )
                INSERT INTO {members} ({p}, {k}) SELECT {p}, {k} FROM again
                """,
                guard=self.guard,
                members=self.members,
                source=self.source,
                after=after,
                until=until,
                same=self.key.same("g", "s"),
                g_p=columns(self.p, of="g"),
                s_p=columns(self.p, of="s"),
                s_k=columns(self.key.names, of="s"),
                p=columns(self.p),
                k=columns(self.key.names),
            ),
            (*lower, *upper),
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
