"""From rows as callers give them to tuples of database values, in the order of the columns."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import DatabaseDefault

from integrity.exceptions import IntegrityAppError

Row = Mapping[str, Any]
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
    fields: tuple[models.Field[Any, Any], ...]
    """The fields that are written, in the order of the values."""
    brought: tuple[models.Field[Any, Any], ...]
    """Those of them that the rows bring."""
    touched: tuple[models.Field[Any, Any], ...]
    """Those of them that an existing row gets only together with others (``auto_now``)."""
    values: Callable[[Row], tuple[Any, ...]]
    """Database values of one row."""
    check: Check | None


def shape_of(first: Row, *, model: type[models.Model], touch: Row, check: Check | None, using: str) -> Shape:
    """Derive the shape from the first row. Fields that no row brings get their default, or are left to the database.

    ``touch`` gives values, the same for all rows, that an existing row gets only when it is changed.

    Raises:
        InvalidUpsert: a name is no field of the model.
    """
    connection = connections[using]
    given = {_field(model, name): name for name in first}
    if len(given) != len(first):
        raise InvalidUpsert(f"{model._meta.label}: a row brings one field twice, by its name and its column's.")
    constants = {_field(model, name): value for name, value in touch.items()}
    steps: list[tuple[models.Field[Any, Any], Callable[[Row], Any]]] = []
    touched = []
    for field in model._meta.local_concrete_fields:
        automatic = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
        if field in constants or automatic:
            value = constants[field] if field in constants else field.pre_save(model(), add=True)
            steps.append((field, _constant(field, value, connection)))
            if not getattr(field, "auto_now_add", False):
                touched.append(field)
        elif field in given:
            steps.append((field, _getter(field, given[field], connection)))
        elif _has_default(field):
            steps.append((field, _default(field, connection)))
    getters = [getter for _, getter in steps]
    return Shape(
        names=frozenset(first),
        fields=tuple(field for field, _ in steps),
        brought=tuple(given),
        touched=tuple(touched),
        check=check,
        values=lambda row: tuple([get(row) for get in getters]),
    )


def prepared(row: Row, *, shape: Shape) -> tuple[Any, ...]:
    """Return the row's database values.

    Raises:
        RowRejected: it brings other fields than the first row, or a value that its field cannot hold.
    """
    if row.keys() != shape.names:
        raise RowRejected(
            f"it brings {_names(row)}, the first row {_names(shape.names)}. "
            "Give all rows of one upsert the same fields."
        )
    try:
        if shape.check is not None:
            shape.check(row)
        return shape.values(row)
    except (IntegrityAppError, ValidationError, TypeError, ValueError, ArithmeticError) as error:
        raise RowRejected("; ".join(error.messages) if isinstance(error, ValidationError) else str(error)) from error


def _names(row: Row | frozenset[str]) -> str:
    return ", ".join(sorted(map(str, row))) or "nothing"


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    for field in model._meta.local_concrete_fields:
        if name in (field.name, field.attname) and not isinstance(field, models.GeneratedField):
            return field
    known = ", ".join(field.name for field in model._meta.local_concrete_fields)
    raise InvalidUpsert(f"{model._meta.label} has no field {name!r} that can be written. Choose from: {known}.")


def _has_default(field: models.Field[Any, Any]) -> bool:
    """Whether Django, not the database, fills the field in; an empty text is no default worth writing."""
    return field.has_default() and not isinstance(field.get_default(), DatabaseDefault)


def _getter(field: models.Field[Any, Any], name: str, connection: BaseDatabaseWrapper) -> Callable[[Row], Any]:
    convert = converter(field, connection)
    if isinstance(field, models.ForeignKey):
        target = field.target_field.attname

        def get_key(row: Row) -> Any:
            value = row[name]
            return convert(getattr(value, target) if isinstance(value, models.Model) else value)

        return get_key
    return lambda row: convert(row[name])


def _constant(field: models.Field[Any, Any], value: Any, connection: BaseDatabaseWrapper) -> Callable[[Row], Any]:
    stored = field.get_db_prep_save(value, connection)
    return lambda _row: stored


def _default(field: models.Field[Any, Any], connection: BaseDatabaseWrapper) -> Callable[[Row], Any]:
    if callable(field.default):
        make, convert = field.default, converter(field, connection)
        return lambda _row: convert(make())
    return _constant(field, field.get_default(), connection)


def _is_aware(value: Any) -> bool:
    return type(value) is datetime and value.tzinfo is not None


_PLAIN: dict[type[models.Field[Any, Any]], tuple[Any, Callable[[Any], bool]]] = {
    models.UUIDField: (uuid.UUID(int=0), lambda value: type(value) is uuid.UUID),
    models.FloatField: (0.5, lambda value: type(value) is float),
    models.IntegerField: (1, lambda value: type(value) is int),
    models.BigIntegerField: (1, lambda value: type(value) is int),
    models.CharField: ("a", lambda value: type(value) is str),
    models.TextField: ("a", lambda value: type(value) is str),
    models.DateTimeField: (datetime.fromtimestamp(0, UTC), _is_aware),
}
"""An example of the values that a field of exactly this type may hand on as they are, and how to know others."""


def converter(field: models.Field[Any, Any], connection: BaseDatabaseWrapper) -> Callable[[Any], Any]:
    """Return what makes database values, without Django's general way where the database takes the value itself."""
    example, is_plain = _PLAIN.get(type(field), (None, None))
    if is_plain is None or field.get_db_prep_save(example, connection) is not example:
        return lambda value: field.get_db_prep_save(value, connection)
    return lambda value: value if is_plain(value) else field.get_db_prep_save(value, connection)
