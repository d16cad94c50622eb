"""INSERT ... ON CONFLICT over many rows: what both databases share. Vendors differ in how rows travel.

Two statements do it, in one transaction. The first folds the batch to one row for each key and writes them in key
order; it returns the rows that it wrote. All others it has locked (PostgreSQL) or nobody else can touch (SQLite), so
that the second can look up their primary keys and say what became of them. Where rows of one key cannot be folded,
since what the first leaves decides about the second, both are run for the first row of each key, then for the second.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, columns, compose, identifier, joined
from integrity.backends.statements import Query
from integrity.backends.upsertkeys import keyed, same_key
from integrity.backends.upsertplan import POSITION, Orphan, Outcome, UpsertPlan


class Upserts(ABC):
    """Writes batches on one connection, inside the caller's transaction."""

    rows: Rows

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @abstractmethod
    def take_turn(self, table: str) -> None:
        """Wait for other writers while that is still possible; before the first read of a write."""

    @abstractmethod
    def source(self, plan: UpsertPlan, batch: Sequence[tuple[Any, ...]]) -> AbstractContextManager[Query]:
        """Bring the rows to the database: a relation with ``plan.columns`` and the row's position."""

    @abstractmethod
    def differs(self, plan: UpsertPlan) -> SQL:
        """Whether ``plan.compared`` of the existing row and what is given differ, in whatever types they have."""

    @abstractmethod
    def winners(self, plan: UpsertPlan, source: Query) -> SQL:
        """A SELECT of what one row for each key says, ``plan.folded``; it is the first in ``plan.newest_first``."""

    @abstractmethod
    def existing(self, plan: UpsertPlan, source: Query) -> set[tuple[Any, ...]]:
        """Primary keys that the batch meets, where the write itself cannot tell; asked before it."""

    @abstractmethod
    def was_inserted(self, plan: UpsertPlan) -> SQL:
        """In RETURNING: whether the row is new; or NULL where ``existing`` tells."""

    @abstractmethod
    def is_transient(self, error: BaseException, *, key: tuple[str, ...]) -> bool:
        """Whether the same transaction may succeed when it is run again; ``key`` are the target's own columns."""

    @abstractmethod
    def may_meet_its_own_row(self, error: BaseException) -> bool:
        """Whether a key was refused for a row that another writer has just inserted, and that a second try may find."""

    @abstractmethod
    def lacks_arbiter(self, error: BaseException) -> bool:
        """Whether a write failed because no unique index fits the plan's key."""

    @abstractmethod
    def orphans(self, plan: UpsertPlan, source: Query) -> list[Orphan]:
        """Look for references to missing rows, once the batch is written; PostgreSQL raises its own error."""

    def keyless(self, plan: UpsertPlan, source: Query) -> list[int]:
        """Positions of rows that the constraint does not cover: written twice, they would be two rows."""
        if not plan.may_lack_key:
            return []
        tests = [f"{part} IS NULL" for part in plan.key] if plan.nulls_distinct else []
        if plan.condition is not None:
            tests.append(f"({plan.condition}) IS NOT TRUE")
        found = self.rows.fetch(
            compose(
                "SELECT {n} FROM {source} AS s WHERE {tests} ORDER BY {n}",
                n=POSITION,
                source=source.sql,
                tests=joined(" OR ", tests),
            ),
            source.params,
        )
        return [position for (position,) in found]

    def turns(self, plan: UpsertPlan, source: Query, *, count: int) -> list[int]:
        """How many of the ``count`` rows are the first of their key, the second, and so on; all, if they are folded."""
        if plan.may_fold:
            return [count]
        sizes = self.rows.fetch(
            compose(
                "SELECT COUNT(*) FROM {keyed} AS s GROUP BY integrity_pos ORDER BY integrity_pos",
                keyed=keyed(plan, source),
            ),
            source.params,
        )
        return [size for (size,) in sizes]

    def write(self, plan: UpsertPlan, source: Query, *, turns: Sequence[int]) -> Outcome:
        """Write the rows of a source as if they came one after another, and say what became of each."""
        outcome = Outcome()
        for turn, size in enumerate(turns, 1):
            part = source if len(turns) == 1 else self._turn(plan, source, turn)
            outcome.add(self._write(plan, part, count=size))
        return outcome

    def _turn(self, plan: UpsertPlan, source: Query, turn: int) -> Query:
        """The rows that are so many-th of their key, as they were given."""
        sql = compose(
            """
            (SELECT {n}, {columns} FROM (
                SELECT s.*, ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {n}) AS integrity_turn FROM {source} AS s
            ) AS s WHERE integrity_turn = {turn})
            """,
            n=POSITION,
            columns=columns(plan.columns),
            key=joined(", ", plan.key),
            source=source.sql,
            turn=SQL(str(int(turn))),
        )
        return Query(sql=sql, params=source.params)

    def _write(self, plan: UpsertPlan, source: Query, *, count: int) -> Outcome:
        outcome = Outcome()
        existing = self.existing(plan, source)
        rows = self._insert(plan, source)
        for row in rows:
            key, new = row[:-1], row[-1]
            if new is None:
                new = key not in existing
            (outcome.inserted if new else outcome.updated).append(key)
        if len(rows) < count:
            written = {row[:-1] for row in rows}
            for row in self._look_up(plan, source):
                key, position, stale = row[:-2], row[-2], row[-1]
                if position > 1:
                    outcome.folded.append(key)
                elif key not in written:
                    (outcome.stale if stale else outcome.unchanged).append(key)
        return outcome

    def met(self, plan: UpsertPlan, source: Query) -> set[tuple[Any, ...]]:
        """Primary keys of the rows that the batch's keys mean now."""
        found = self.rows.fetch(
            compose(
                "SELECT {pk} FROM {keyed} AS s JOIN {table} AS t ON {same}",
                pk=columns(plan.pk, of="t"),
                keyed=keyed(plan, source),
                table=plan.table,
                same=same_key(plan),
            ),
            source.params,
        )
        return set(found)

    def _insert(self, plan: UpsertPlan, source: Query) -> list[tuple[Any, ...]]:
        sql = compose(
            """
            INSERT INTO {table} ({columns}) {overriding}
            {winners}
            ON CONFLICT ({key}) {condition} DO UPDATE SET {assign} WHERE {when}
            RETURNING {pk}, {was_inserted}
            """,
            table=plan.table,
            columns=columns(plan.columns),
            overriding=self.rows.overriding,
            key=joined(", ", plan.key),
            winners=self.winners(plan, source),
            condition=SQL("") if plan.condition is None else SQL(f"WHERE {plan.condition}"),
            assign=self._assignments(plan),
            when=self._when(plan),
            pk=columns(plan.pk, of=plan.table),
            was_inserted=self.was_inserted(plan),
        )
        return self.rows.fetch(sql, source.params)

    def _assignments(self, plan: UpsertPlan) -> SQL:
        # With nothing to change the row is still locked, so that the look-up finds it as it was. Rather by a
        # column that is no key: who references the row would wait for that lock, and no identity can be assigned.
        names = (*plan.compared, *plan.touched) or (min(plan.columns, key=lambda c: (c in plan.pk, _is_key(c, plan))),)
        return joined(", ", (compose("{name} = {given}", name=name, given=plan.given(name)) for name in names))

    def _when(self, plan: UpsertPlan) -> SQL:
        if not plan.compared:
            return SQL("1 = 0")
        if plan.newer is None:
            tests = [SQL(f"({self.differs(plan)})")]
        else:
            tests = [
                compose(
                    "(excluded.{c} > {t}.{c} OR ({t}.{c} IS NULL AND excluded.{c} IS NOT NULL))",
                    c=plan.newer,
                    t=plan.table,
                )
            ]
        if plan.overwrite is not None:
            tests.append(SQL(f"({plan.overwrite})"))
        return joined(" AND ", tests)

    def _look_up(self, plan: UpsertPlan, source: Query) -> list[tuple[Any, ...]]:
        stale = SQL("FALSE")
        if plan.newer is not None:
            stale = compose(
                "(t.{c} > s.integrity_newer OR (s.integrity_newer IS NULL AND t.{c} IS NOT NULL))", c=plan.newer
            )
        return self.rows.fetch(
            compose(
                "SELECT {pk}, s.integrity_pos, {stale} FROM {keyed} AS s JOIN {table} AS t ON {same}",
                pk=columns(plan.pk, of="t"),
                stale=stale,
                keyed=keyed(plan, source),
                table=plan.table,
                same=same_key(plan),
            ),
            source.params,
        )


def _is_key(column: str, plan: UpsertPlan) -> bool:
    return identifier(column) in plan.key
