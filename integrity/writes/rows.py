"""From rows as callers give them to tuples of database values, in the order of the columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connections, models

from integrity.exceptions import IntegrityAppError
from integrity.writes.saving import Saving, saving_of
from integrity.writes.values import AN_EXPRESSION, Column, Row, brought, constant, default, key_of

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
    needed: Sequence[models.Field[Any, Any]],
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
    connection = connections[using]
    if not isinstance(first, Mapping):
        raise InvalidUpsert(f"{model._meta.label}, row 0: {_no_mapping(first)}")
    given = {_field(model, name): name for name in first}
    if len(given) != len(first):
        raise InvalidUpsert(f"{model._meta.label}: a row brings one field twice, by its name and its column's.")
    constants = {_field(model, name): value for name, value in touch.items()}
    if both := [field.name for field in constants if field in given]:
        raise InvalidUpsert(f"{model._meta.label}: the rows bring {', '.join(both)}, and so does `touch`. Choose one.")
    columns: dict[models.Field[Any, Any], Column] = {}
    touched = []
    saving = saving_of(model, given=given, constants=constants, using=using)
    own = saving.own if saving else ()
    for field in model._meta.local_concrete_fields:
        automatic = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
        if field in given:
            columns[field] = brought(field, given[field], connection)
        elif field in constants or automatic:
            value = key_of(constants[field], field) if field in constants else field.pre_save(model(), add=True)
            if field in own:
                columns[field] = brought(field, field.attname, connection)
            elif hasattr(value, "as_sql"):
                raise InvalidUpsert(f"{model._meta.label}: `touch` gives {field.name} {AN_EXPRESSION}")
            else:
                columns[field] = constant(field, value, connection)
            if not getattr(field, "auto_now_add", False):
                touched.append(field)
        elif field in own:
            columns[field] = brought(field, field.attname, connection)
        elif field.has_default():  # as Django, also where the database has one, too
            columns[field] = default(field, connection)
        elif field in needed and field.null and not (field.generated or field.has_db_default()):
            columns[field] = constant(field, None, connection)
    return Shape(
        names=frozenset(first),
        fields=tuple(columns),
        brought=tuple(given),
        touched=tuple(touched),
        saving=saving,
        check=check,
        columns=tuple(columns.values()),
    )


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


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    writable = [f for f in model._meta.local_concrete_fields if not isinstance(f, models.GeneratedField)]
    for field in writable:
        if name in (field.name, field.attname):
            return field
    known = ", ".join(field.name for field in writable)
    raise InvalidUpsert(f"{model._meta.label} has no field {name!r} that can be written. Choose from: {known}.")
