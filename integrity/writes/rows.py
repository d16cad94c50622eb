"""From rows as callers give them to tuples of database values, in the order of the columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.core.exceptions import ValidationError
from django.db import connections, models

from integrity.exceptions import IntegrityAppError
from integrity.writes.saving import Saving, saving_of
from integrity.writes.values import AN_EXPRESSION, Column, Row, brought, constant, default, key_of

_Field: TypeAlias = "models.Field[Any, Any]"

Check = Callable[[Row], None]
"""Looks at a row before it is written; what it raises rejects the row."""


class InvalidUpsert(IntegrityAppError):
    """The arguments of an upsert do not fit the model."""


class RowRejected(IntegrityAppError):
    """A row cannot be written as it is; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What all rows of one upsert have in common: which fields they bring, and what is added to them."""

    names: frozenset[str]
    """The keys of every row."""
    fields: tuple[_Field, ...]
    """The fields that are written, in the order of the values."""
    brought: tuple[_Field, ...]
    """Those of them that the rows bring."""
    touched: tuple[_Field, ...]
    """Those of them that an existing row gets only together with others (``auto_now``)."""
    columns: tuple[Column, ...]
    """What gives their values."""
    saving: Saving | None
    """What becomes of a row before, where fields have a way of their own to be saved."""
    check: Check | None


def shape_of(
    first: Row,
    *,
    model: type[models.Model],
    touch: Row,
    needed: Sequence[_Field],
    check: Check | None,
    using: str,
) -> Shape:
    """Derive the shape from the first row. Fields that no row brings get Django's default, or are left to the database.

    A date that the rows bring is theirs, and no longer automatic. ``touch`` gives values, the same for all rows, that
    an existing row gets only when it is changed. Of the fields that are ``needed`` to tell rows apart, those that
    would be NULL in the table are so in the rows as well.

    Raises:
        InvalidUpsert: a name is no field of the model, or a field is given twice.
    """
    if not isinstance(first, Mapping):
        raise InvalidUpsert(f"{model._meta.label}, row 0: {_no_mapping(first)}")
    given = {_field(model, name): name for name in first}
    if len(given) != len(first):
        raise InvalidUpsert(f"{model._meta.label}: a row brings one field twice, by its name and its column's.")
    constants = {_field(model, name): value for name, value in touch.items()}
    if both := [field.name for field in constants if field in given]:
        raise InvalidUpsert(f"{model._meta.label}: the rows bring {', '.join(both)}, and so does `touch`. Choose one.")
    saving = saving_of(model, given=given, constants=constants, using=using)
    sources = _Sources(given=given, constants=constants, own=saving.own if saving else (), needed=needed, using=using)
    found = ((field, sources.column(field)) for field in model._meta.local_concrete_fields)
    columns = {field: column for field, column in found if column is not None}
    return Shape(
        names=frozenset(first),
        fields=tuple(columns),
        brought=tuple(given),
        touched=tuple(field for field in columns if sources.touches(field)),
        saving=saving,
        check=check,
        columns=tuple(columns.values()),
    )


@dataclass(frozen=True, kw_only=True)
class _Sources:
    """Where the values of a field come from."""

    given: Mapping[_Field, str]
    constants: Mapping[_Field, Any]
    own: Sequence[_Field]
    """Fields that save themselves: their values stand under their attribute's name."""
    needed: Sequence[_Field]
    using: str

    def column(self, field: _Field) -> Column | None:
        """What gives the field's values; None where the database does."""
        connection = connections[self.using]
        if field in self.given:
            return brought(field, self.given[field], connection)
        if field in self.own:
            return brought(field, field.attname, connection)
        if field in self.constants or _is_automatic(field):
            return constant(field, self._constant(field), connection)
        if field.has_default():  # as Django, also where the database has one, too
            return default(field, connection)
        if field in self.needed and field.null and not (field.generated or field.has_db_default()):
            return constant(field, None, connection)
        return None

    def touches(self, field: _Field) -> bool:
        """Whether an existing row gets it only together with others."""
        again = field in self.constants or _is_automatic(field)
        return again and field not in self.given and not getattr(field, "auto_now_add", False)

    def _constant(self, field: _Field) -> Any:
        if field not in self.constants:
            return field.pre_save(field.model(), add=True)
        value = key_of(self.constants[field], field)
        if hasattr(value, "as_sql"):
            raise InvalidUpsert(f"{field.model._meta.label}: `touch` gives {field.name} {AN_EXPRESSION}")
        return value


def _is_automatic(field: _Field) -> bool:
    return getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)


def prepared(rows: Sequence[Row], *, shape: Shape) -> list[tuple[Any, ...]]:
    """Return the rows' database values.

    Raises:
        RowRejected: one brings other fields than the first row, or a value that its field cannot hold.
    """
    for row in rows:
        if not isinstance(row, Mapping):
            raise RowRejected(_no_mapping(row))
        if row.keys() != shape.names:
            raise RowRejected(
                f"it brings {_names(row)}, the first row {_names(shape.names)}. "
                "Give all rows of one upsert the same fields."
            )
    try:
        if shape.check is not None:
            for row in rows:
                shape.check(row)
        if shape.saving is not None:
            rows = [shape.saving.saved(row) for row in rows]
        return list(zip(*[column(rows) for column in shape.columns], strict=True))
    except (IntegrityAppError, ValidationError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise RowRejected("; ".join(error.messages) if isinstance(error, ValidationError) else str(error)) from error


def plain_document(document: Mapping[str, Any], *, of: str) -> dict[str, Any]:
    """Return a JSON document as the database gives it back: its keys are texts.

    Raises:
        RowRejected: it holds what JSON has no word for (numbers of NumPy, dates, NaN), or is none; ``of`` is whose.
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(document), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise RowRejected(f"{of}: this is no JSON document ({error}).") from error
    return plain


def _no_mapping(row: object) -> str:
    return f"it is a {type(row).__name__}. Give mappings from field name to value; of objects, those of `values()`."


def _names(row: Row | frozenset[str]) -> str:
    return ", ".join(sorted(map(str, row))) or "nothing"


def _field(model: type[models.Model], name: str) -> _Field:
    writable = [f for f in model._meta.local_concrete_fields if not isinstance(f, models.GeneratedField)]
    for field in writable:
        if name in (field.name, field.attname):
            return field
    known = ", ".join(field.name for field in writable)
    raise InvalidUpsert(f"{model._meta.label} has no field {name!r} that can be written. Choose from: {known}.")
