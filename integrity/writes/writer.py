"""Write one chunk of an upsert: as one transaction, and by halves where a row of it is rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from django.db import DataError, IntegrityError, connections, transaction

from integrity.backends import get_rows
from integrity.backends.statements import Query
from integrity.backends.upsertplan import Orphan, Outcome, UpsertPlan
from integrity.backends.writing import get_upserts
from integrity.exceptions import IntegrityAppError
from integrity.writes.errors import ConstraintViolated, Violated, explain, typed, unsendable_as_data_error
from integrity.writes.results import FailedRow, UpsertResult
from integrity.writes.retry import despite_rivals, retried
from integrity.writes.rows import RowRejected, Shape, prepared
from integrity.writes.target import Target, constraint_required
from integrity.writes.values import Row, loader

Numbered = tuple[int, Row]
MOST_TURNS: Final = 16


class RowsLost(IntegrityAppError):
    """Rows were neither written nor found: something in the database swallowed them."""


class _Prepared(NamedTuple):
    position: int
    row: Row
    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Writes chunks of rows of one shape to one target."""

    target: Target
    shape: Shape
    plan: UpsertPlan
    isolate: bool
    using: str

    def write(self, chunk: Sequence[Numbered]) -> UpsertResult:
        """Write a chunk and say what became of each row.

        Raises:
            RowRejected: a row cannot be written as it is, and is not to be isolated.
            ConstraintViolated: the database rejected a row, and it is not to be isolated.
            DataError: a column cannot hold a value, and it is not to be isolated.
            MissingConstraint: the database lacks the target's constraint.
        """
        positions, rows = zip(*chunk, strict=True)
        try:
            values = prepared(rows, shape=self.shape)
        except RowRejected:
            return self._one_by_one(chunk)
        return self._written(list(map(_Prepared, positions, rows, values)))

    def _one_by_one(self, chunk: Sequence[Numbered]) -> UpsertResult:
        """Prepare each row by itself, to know which one cannot be; write the others."""
        ready, results = [], []
        for position, row in chunk:
            try:
                (values,) = prepared([row], shape=self.shape)
            except RowRejected as error:
                rejected = self._rejected(position, row, str(error))
                if not self.isolate:
                    raise rejected from error.__cause__
                results.append(_failed(position, row, rejected))
            else:
                ready.append(_Prepared(position, row, values))
        return UpsertResult.sum([*results, self._written(ready)]) if ready else UpsertResult.sum(results)

    def _written(self, batch: Sequence[_Prepared]) -> UpsertResult:
        try:
            with constraint_required(table=self.plan.table, name=self.target.name, using=self.using):
                outcome = retried(lambda: self._attempt(batch), using=self.using, key=self.target.key_columns)
        except (IntegrityError, DataError, RowRejected) as error:
            if self.isolate:
                return self._bisected(batch, error)
            if isinstance(error, IntegrityError):
                raise explain(error, using=self.using) from error
            raise
        return self._result(outcome)

    def _bisected(self, batch: Sequence[_Prepared], error: Exception) -> UpsertResult:
        """Write each half on its own; what remains of a rejected batch in the end is the row that is to blame."""
        if len(batch) > 1:
            middle = len(batch) // 2
            return UpsertResult.sum([self._written(batch[:middle]), self._written(batch[middle:])])
        ((position, row),) = [(one.position, one.row) for one in batch]
        typed = explain(error, using=self.using) if isinstance(error, IntegrityError) else error
        return _failed(position, row, typed)

    def _attempt(self, batch: Sequence[_Prepared]) -> Outcome:
        return despite_rivals(lambda: self._transaction(batch), using=self.using)

    def _transaction(self, batch: Sequence[_Prepared]) -> Outcome:
        rows = get_rows(using=self.using)
        # In a caller's transaction the rows that are pointed at may come later, unless a row is to be named.
        with_parents = self.isolate or not connections[self.using].in_atomic_block
        with unsendable_as_data_error(), rows.writing(), transaction.atomic(using=self.using):
            outcome = self._in_turns(batch, with_parents=with_parents)
            if outcome.total != len(batch):
                raise RowsLost(
                    f"{self.plan.table}: {len(batch)} rows were given, the database accounts for {outcome.total}. "
                    "A trigger or rule of the table leaves rows out; nothing of this chunk was written."
                )
        return outcome

    def _in_turns(self, batch: Sequence[_Prepared], *, with_parents: bool) -> Outcome:
        """Write rows, by halves where one key has so many that reading all rows for each of its turns is too slow."""
        upserts = get_upserts(using=self.using)
        with self._source(batch) as source:
            for place in upserts.keyless(self.plan, source)[:1]:
                raise self._keyless(batch[place])
            turns = upserts.turns(self.plan, source, count=len(batch))
            if len(turns) <= MOST_TURNS:
                outcome = upserts.write(self.plan, source, turns=turns)
                if with_parents:
                    self._require_parents(batch, source)
                return outcome
        middle = len(batch) // 2
        outcome = self._in_turns(batch[:middle], with_parents=False)
        outcome.add(self._in_turns(batch[middle:], with_parents=False))
        if with_parents:
            with self._source(batch) as source:
                self._require_parents(batch, source)
        return outcome

    def _source(self, batch: Sequence[_Prepared]) -> AbstractContextManager[Query]:
        return get_upserts(using=self.using).source(self.plan, [one.values for one in batch])

    def _require_parents(self, batch: Sequence[_Prepared], source: Query) -> None:
        for orphan in get_upserts(using=self.using).orphans(self.plan, source)[:1]:
            raise self._orphan(batch[orphan.position], orphan)

    def _rejected(self, position: int, row: Row, why: str) -> RowRejected:
        """Return the error that names a row by its place and, as far as it has one, its key."""
        brought: Row = row if isinstance(row, Mapping) else {}
        names = [n for f in self.target.fields for n in (f, f"{f}_id") if n in brought]
        key = ", ".join(f"{name}={row[name]!s:.100}" for name in names)
        return RowRejected(f"{self.target.model._meta.label}, row {position}{f' ({key})' if key else ''}: {why}")

    def _keyless(self, one: _Prepared) -> RowRejected:
        why = (
            f"{self.target.name} says nothing about it (a NULL in its key, or outside the condition), so that it would "
            "be another row each time it is written. Use create()."
        )
        return self._rejected(one.position, one.row, why)

    def _orphan(self, one: _Prepared, orphan: Orphan) -> ConstraintViolated:
        model, place = self.target.model, self.plan.columns.index(orphan.column)
        field = self.shape.fields[place]
        return typed(
            "foreign key",
            Violated(
                constraint="",
                model=model,
                table=self.plan.table,
                fields=(field.name,),
                values={field.name: one.values[place]},
            ),
        )

    def _result(self, outcome: Outcome) -> UpsertResult:
        loaders = [loader(field, connections[self.using]) for field in self.target.model._meta.pk_fields]

        def ids(keys: list[tuple[Any, ...]]) -> tuple[Any, ...]:
            loaded = (tuple(load(value) for load, value in zip(loaders, key, strict=True)) for key in keys)
            return tuple(loaded) if len(loaders) > 1 else tuple(value for (value,) in loaded)

        return UpsertResult(
            inserted=ids(outcome.inserted),
            updated=ids(outcome.updated),
            unchanged=ids(outcome.unchanged),
            stale=ids(outcome.stale),
            folded=ids(outcome.folded),
        )


def _failed(position: int, row: Row, error: Exception) -> UpsertResult:
    return UpsertResult(failed=(FailedRow(position=position, row=row, error=error),))
