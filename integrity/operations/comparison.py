"""How a table that is there differs from the model that shall speak for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connections, models

from integrity.backends import Column, get_catalogue
from integrity.backends.types import compare_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference: an error cannot work, a note works as it is."""

    level: Literal["error", "note"]
    subject: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}." + (f" {self.hint}." if self.hint else "")


def compare_table(*, model: type[models.Model], using: str, optional: Sequence[str] = ()) -> tuple[Difference, ...]:
    """Compare a table with its model: columns and types, key, unique constraints, indexes, foreign keys.

    Only the catalogue is read. ``optional`` names columns whose absence is a note. Check constraints are not
    compared.

    Raises:
        UnsupportedDatabase: the database is neither PostgreSQL nor SQLite.
    """
    comparison = _Comparison(model=model, using=using, optional=optional)
    return (
        *comparison.columns(),
        *comparison.primary_key(),
        *comparison.unique_constraints(),
        *comparison.indexes(),
        *comparison.foreign_keys(),
    )


class _Comparison:
    def __init__(self, *, model: type[models.Model], using: str, optional: Sequence[str]) -> None:
        self.model = model
        self.using = using
        self.optional = optional
        self.table = model._meta.db_table
        self.fields = model._meta.local_concrete_fields
        self.catalogue = get_catalogue(using=using)
        ignores_case = connections[using].features.ignores_table_name_case
        self.fold: Callable[[str], str] = str.lower if ignores_case else str

    def columns(self) -> Iterator[Difference]:
        found = {self.fold(column.name): column for column in self.catalogue.columns(self.table)}
        for field in self.fields:
            column = found.pop(self._name(field), None)
            if column is None:
                yield self._missing(field)
            else:
                yield from self._compared(field, column)
        for column in found.values():
            yield self._extra(column)

    def _missing(self, field: models.Field[Any, Any]) -> Difference:
        kind = field.db_type(connections[self.using])
        return Difference(
            level="note" if field.name in self.optional else "error",
            subject=self._name(field),
            message="the column is missing",
            hint=f'Add it with ALTER TABLE "{self.table}" ADD COLUMN "{field.column}" {kind}',
        )

    def _compared(self, field: models.Field[Any, Any], column: Column) -> Iterator[Difference]:
        match = compare_type(field=field, found=column.type, using=self.using)
        if not match.fits:
            yield Difference(level="error", subject=column.name, message=match.remark, hint="Convert the column")
        elif match.remark:
            yield Difference(level="note", subject=column.name, message=match.remark)
        if column.generated:
            yield Difference(level="note", subject=column.name, message="the database computes it: it is read only")
        if column.nullable and not field.null and not field.primary_key:
            yield Difference(level="note", subject=column.name, message="NULL is allowed, the model says NOT NULL")
        if field.null and not column.nullable:
            yield Difference(level="note", subject=column.name, message="NULL is refused, the model allows it")
        if field.has_db_default() and column.default is None:
            yield Difference(level="note", subject=column.name, message="the database has no default for it")

    def _extra(self, column: Column) -> Difference:
        required = not column.nullable and column.default is None and not column.generated
        remark = "; it is NOT NULL without a default: rows cannot be inserted through the model" if required else ""
        return Difference(
            level="note", subject=column.name, message=f"the model does not know this column ({column.type}){remark}"
        )

    def primary_key(self) -> Iterator[Difference]:
        key = tuple(self.fold(name) for name in self.catalogue.primary_key(self.table))
        wanted = self._name(self.model._meta.pk)
        if key != (wanted,):
            actual = f"({', '.join(key)})" if key else "missing"
            yield Difference(
                level="error",
                subject="primary key",
                message=f"it is {actual}, the model needs ({wanted})",
                hint=f"Make {wanted} the primary key",
            )

    def unique_constraints(self) -> Iterator[Difference]:
        indexes = [i for i in self.catalogue.indexes(self.table) if i.unique and i.valid and i.predicate is None]
        present = {frozenset(self.fold(name or "") for name in index.columns) for index in indexes}
        for constraint in self.model._meta.constraints:
            if isinstance(constraint, models.UniqueConstraint) and constraint.fields and not constraint.condition:
                columns = self._columns_of(constraint.fields)
                if frozenset(columns) not in present:
                    message = f"nothing keeps ({', '.join(columns)}) unique, as this constraint would"
                    yield Difference(level="note", subject=constraint.name, message=message)

    def indexes(self) -> Iterator[Difference]:
        present = [
            tuple(self.fold(name or "") for name in index.columns)
            for index in self.catalogue.indexes(self.table)
            if index.valid and index.predicate is None
        ]
        for index in self.model._meta.indexes:
            columns = self._columns_of([name for name, _order in index.fields_orders])
            if not any(names[: len(columns)] == columns for names in present):
                message = f"there is no index on ({', '.join(columns)})"
                yield Difference(level="note", subject=index.name, message=message)

    def foreign_keys(self) -> Iterator[Difference]:
        present = {tuple(map(self.fold, key.columns)): key for key in self.catalogue.foreign_keys(self.table)}
        for field in self.fields:
            key = present.pop((self._name(field),), None)
            if isinstance(field, models.ForeignKey) and key is None:
                target = field.related_model._meta.db_table
                message = f"the database declares no foreign key to {target}"
                yield Difference(level="note", subject=self._name(field), message=message)
            if key is not None and not isinstance(field, models.ForeignKey):
                message = f"the foreign key {key.name or ''} to {key.target_table} is unknown to the model"
                yield Difference(level="note", subject=self._name(field), message=" ".join(message.split()))

    def _columns_of(self, names: Sequence[str]) -> tuple[str, ...]:
        fields = (self.model._meta.get_field(name) for name in names)
        return tuple(self._name(field) for field in fields if isinstance(field, models.Field))

    def _name(self, field: models.Field[Any, Any]) -> str:
        return self.fold(field.column or "")
