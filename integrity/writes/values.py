"""From values as Python has them to those that the database takes, one column of many rows at a time; and back.

Django converts value by value, through several calls each. Where a whole column holds what the database takes as it is,
that is seen from the values' types alone, which costs a tenth.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.files import File
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.fields.files import FieldFile

Row = Mapping[str, Any]
Convert = Callable[[Sequence[Any]], Sequence[Any]]
Column = Callable[[Sequence[Row]], Sequence[Any]]
"""Gives the database values of one column for some rows."""

AN_EXPRESSION = "an expression, which a row that is compared with what is there cannot bring. Give its value."

_PLAIN: dict[type[models.Field[Any, Any]], Any] = {
    models.UUIDField: uuid.UUID(int=0),
    models.FloatField: 0.5,
    models.IntegerField: 1,
    models.BigIntegerField: 1,
    models.CharField: "a",
    models.TextField: "a",
    models.DateTimeField: datetime.fromtimestamp(0, UTC),
}
"""Fields, of exactly these classes, that may hand on any value of the type of this one, and NULL, as it is."""


def converter(field: models.Field[Any, Any], connection: BaseDatabaseWrapper) -> Convert:
    """Return what makes a field's values database values."""
    example = _PLAIN.get(type(field))
    plain = {type(example), type(None)}

    def convert(values: Sequence[Any]) -> Sequence[Any]:
        stored = [stored_value(field, value, connection) for value in values]
        if any(hasattr(kind, "as_sql") for kind in set(map(type, stored))):
            raise ValueError(f"{field.name} is {AN_EXPRESSION}")
        return stored

    def convert_if_needed(values: Sequence[Any]) -> Sequence[Any]:
        if not plain.issuperset(map(type, values)) or (type(example) is datetime and not all(map(_has_zone, values))):
            return convert(values)
        return values

    def adapt_documents(values: Sequence[Any]) -> Sequence[Any]:
        # Anything else may be NULL, an expression or an encoder's business: the field knows.
        if not {dict, list}.issuperset(map(type, values)):
            return convert(values)
        return [connection.ops.adapt_json_value(value, field.encoder) for value in values]  # type: ignore[attr-defined]

    if type(field) is models.JSONField:
        return adapt_documents
    as_stored = None if example is None else stored_value(field, example, connection)
    return convert_if_needed if type(as_stored) is type(example) is not type(None) else convert


def stored_value(field: models.Field[Any, Any], value: Any, connection: BaseDatabaseWrapper) -> Any:
    """Return what the database stores for a field's value, an integer without the width that Django gives it.

    psycopg sends an ``Int4`` in four bytes where the server binds parameters (``server_side_binding``): one that is too
    large loses its upper bits there, which is another number and, in a key, another row.
    """
    stored = field.get_db_prep_save(value, connection)
    return int(stored) if isinstance(stored, int) and not isinstance(stored, bool) else stored


def brought(field: models.Field[Any, Any], name: str, connection: BaseDatabaseWrapper) -> Column:
    """Return the column of a field that the rows bring under this name; a foreign key's may be objects."""
    convert = converter(field, connection)
    if isinstance(field, models.FileField):
        return lambda rows: convert([_stored_file(row[name]) for row in rows])
    if not isinstance(field, models.ForeignKey):
        return lambda rows: convert([row[name] for row in rows])
    return lambda rows: convert([key_of(row[name], field) for row in rows])


def constant(field: models.Field[Any, Any], value: Any, connection: BaseDatabaseWrapper) -> Column:
    """Return the column of a field that has the same value in all rows."""
    stored = stored_value(field, value, connection)
    return lambda rows: [stored] * len(rows)


def default(field: models.Field[Any, Any], connection: BaseDatabaseWrapper) -> Column:
    """Return the column of a field that no row brings and that has a default in Django."""
    if not callable(field.default):
        return constant(field, field.get_default(), connection)
    make, convert = field.default, converter(field, connection)
    return lambda rows: convert([make() for _ in rows])


def loader(field: models.Field[Any, Any], connection: BaseDatabaseWrapper) -> Callable[[Any], Any]:
    """Return what makes a field's database value that of Python, as a queryset would."""
    column = field.get_col(field.model._meta.db_table)
    converters = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]

    def load(value: Any) -> Any:
        for convert in converters:
            value = convert(value, column, connection)
        return value

    return load


def _stored_file(value: Any) -> Any:
    """Refuse a file that ``save()`` would bring to its storage first: the row would name what is not there."""
    if isinstance(value, File) and not (isinstance(value, FieldFile) and value._committed):  # type: ignore[attr-defined]
        raise ValueError(f"the file {value.name!r} is in no storage yet. Save it there, and bring its name.")
    return value


def key_of(value: Any, field: models.Field[Any, Any]) -> Any:
    """Return what a foreign key stores; other values as they are.

    Raises:
        TypeError: it is an object of another model.
        ValueError: it is one that is not saved yet: as in ``save()``, that is an error and never NULL.
    """
    if not isinstance(value, models.Model) or not isinstance(field, models.ForeignKey):
        return value
    wanted = field.remote_field.model._meta.concrete_model or field.remote_field.model
    if not isinstance(value, wanted):
        raise TypeError(f"{field.name} points at {wanted._meta.label}, and is given a {value._meta.label}.")
    key = getattr(value, field.target_field.attname)
    if key is None:
        raise ValueError(f"{field.name} is given a {value._meta.label} that is not saved yet. Save it first.")
    return key


def _has_zone(value: datetime | None) -> bool:
    return value is None or value.tzinfo is not None
