"""Django's IntegrityError, told apart: which constraint, of which model, by which fields and values.

The typed errors are IntegrityErrors too: code that catches Django's goes on working.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from django.apps import apps as installed
from django.apps.registry import Apps
from django.db import DEFAULT_DB_ALIAS, DataError, IntegrityError, models

from integrity.backends.violation import Kind, Violation
from integrity.backends.violations import read_violation
from integrity.exceptions import IntegrityAppError


@dataclass(frozen=True, slots=True, kw_only=True)
class Violated:
    """What was violated. What the database does not tell is empty; ``values`` are by field, as it printed them."""

    constraint: str
    model: type[models.Model] | None
    table: str
    fields: tuple[str, ...]
    values: dict[str, Any]


class ConstraintViolated(IntegrityAppError, IntegrityError):
    """A constraint rejected a row. Of this class itself: one of a kind that has no class of its own."""

    fact = "A constraint rejected a row"
    advice = "The database's own message is the cause of this error."

    def __init__(self, message: str, violated: Violated) -> None:
        super().__init__(message, violated)
        self.violated = violated

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def constraint(self) -> str:
        """The constraint's name; "" where the database does not tell it."""
        return self.violated.constraint

    @property
    def model(self) -> type[models.Model] | None:
        """The model of the table; None for a table of no installed model."""
        return self.violated.model

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields, or the columns and expressions that are no field."""
        return self.violated.fields

    @property
    def values(self) -> dict[str, Any]:
        """The values by field, as the database printed them; empty where it printed none."""
        return self.violated.values


class DuplicateKey(ConstraintViolated):
    """Another row has this key."""

    fact = "Another row has this key"
    advice = "Change the row that is there: integrity.writes.upsert does, with this constraint for its target."


class MissingReference(ConstraintViolated):
    """A foreign key points at a row that is not there."""

    fact = "A foreign key points at a row that is not there"
    advice = "Store the row that is pointed at first, or remove what points at it."


class CheckFailed(ConstraintViolated):
    """A check constraint says no."""

    fact = "A check constraint says no"
    advice = "Correct the value."


class NullNotAllowed(ConstraintViolated):
    """A value is missing where the column demands one."""

    fact = "A value is missing"
    advice = "Give one, or a default to the field."


_CLASSES: dict[Kind, type[ConstraintViolated]] = {
    "unique": DuplicateKey,
    "foreign key": MissingReference,
    "check": CheckFailed,
    "not null": NullNotAllowed,
    "other": ConstraintViolated,
}


def explain(error: IntegrityError, *, using: str = DEFAULT_DB_ALIAS, apps: Apps = installed) -> ConstraintViolated:
    """Return the typed error for an IntegrityError; one that is typed already comes back as it is."""
    if isinstance(error, ConstraintViolated):
        return error
    violation = read_violation(error, using=using)
    model = _model_of(violation, apps)
    violation = _told_by_the_field_that_points(violation, model)
    constraint, columns = _completed(violation, model)
    fields = tuple(_field_name(model, column) for column in columns)
    told = zip((_field_name(model, column) for column in violation.columns), violation.values, strict=False)
    values = {name: value for name, value in told if not fields or name in fields}
    violated = Violated(
        constraint=constraint,
        model=model,
        table=model._meta.db_table if model else violation.table,
        fields=fields,
        values=values,
    )
    return typed(violation.kind, violated)


def typed(kind: Kind, violated: Violated) -> ConstraintViolated:
    """Return the error of a kind, its message composed."""
    cls = _CLASSES[kind]
    owner = violated.model._meta.label if violated.model else violated.table
    shown = ", ".join(
        f"{name} = {violated.values[name]}" if name in violated.values else name for name in violated.fields
    )
    where = ": ".join(filter(None, (owner, shown)))
    named = f" [{violated.constraint}]" if violated.constraint else ""
    return cls(f"{cls.fact}{f' ({where})' if where else ''}{named}. {cls.advice}", violated)


@contextmanager
def typed_errors(*, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Raise what the block's IntegrityErrors mean. Put it outside ``transaction.atomic()``: some come at COMMIT.

    Raises:
        ConstraintViolated: one of its subclasses where the kind is known; the cause is Django's own error.
    """
    try:
        yield
    except ConstraintViolated:
        raise
    except IntegrityError as error:
        raise explain(error, using=using) from error


@contextmanager
def unsendable_as_data_error() -> Iterator[None]:
    """Raise what the database would, for the block's values that do not even reach it.

    Raises:
        DataError: half a surrogate pair in a text, an integer beyond 64 bits, a document that is nested too deep or
            holds what JSON has no word for.
    """
    try:
        yield
    except IntegrityAppError:
        raise
    except (OverflowError, RecursionError, TypeError, ValueError) as error:
        raise DataError(f"A value cannot be sent to the database: {error}.") from error


def _model_of(violation: Violation, apps: Apps) -> type[models.Model] | None:
    candidates = [m for m in apps.get_models(include_auto_created=True) if not m._meta.proxy]
    if violation.table:
        # A table outside the search path is named `schema"."table` in db_table, and without its schema in errors.
        return next((m for m in candidates if m._meta.db_table.rpartition('"')[2] == violation.table), None)
    if violation.constraint:
        return next((m for m in candidates if _constraint_named(m, violation.constraint)), None)
    return None


def _told_by_the_field_that_points(violation: Violation, model: type[models.Model] | None) -> Violation:
    """Where a row was to go that others point at, PostgreSQL tells its key: not one of the table that it names."""
    if violation.kind != "foreign key" or model is None:
        return violation
    pointing = [field for field in model._meta.concrete_fields if isinstance(field, models.ForeignKey)]
    others = {
        field.column for field in model._meta.concrete_fields if not (field.primary_key and not field.is_relation)
    }
    if set(violation.columns) <= others:
        return violation
    found = [str(field.column) for field in pointing if (field.target_field.column,) == violation.columns]
    if len(found) == 1:
        return replace(violation, columns=(found[0],))
    return replace(violation, columns=(), values=())


def _constraint_named(model: type[models.Model], name: str) -> models.BaseConstraint | None:
    return next((c for c in model._meta.constraints if c.name == name), None)


def _completed(violation: Violation, model: type[models.Model] | None) -> tuple[str, tuple[str, ...]]:
    """Return the constraint's name and columns, from the model where the database tells only one of them."""
    if model is None:
        return violation.constraint, violation.columns
    if violation.kind == "unique" and not violation.constraint:
        return _unique_on(model, violation.columns), violation.columns
    declared = _constraint_named(model, violation.constraint)
    if violation.kind == "check":
        return violation.constraint, tuple(_columns_of(model, declared))
    return violation.constraint, violation.columns or tuple(_columns_of(model, declared))


def _unique_on(model: type[models.Model], columns: tuple[str, ...]) -> str:
    unique = [c for c in model._meta.constraints if isinstance(c, models.UniqueConstraint) and c.fields]
    return next((c.name for c in unique if tuple(_columns_of(model, c)) == columns), "")


def _columns_of(model: type[models.Model], constraint: models.BaseConstraint | None) -> list[str]:
    if isinstance(constraint, models.UniqueConstraint):
        names: Iterable[str] = constraint.fields
    elif isinstance(constraint, models.CheckConstraint):
        names = sorted(getattr(constraint.condition, "referenced_base_fields", ()))
    else:
        names = ()
    known = {field.name: str(field.column) for field in model._meta.concrete_fields}
    return [known[name] for name in names if name in known]


def _field_name(model: type[models.Model] | None, column: str) -> str:
    fields = model._meta.concrete_fields if model else ()
    return next((field.name for field in fields if field.column == column), column)
