"""Where an upsert goes: the model, the constraint that tells which row is meant, and what may be overwritten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, ProgrammingError, connections, models
from django.db.models import F, Q, UniqueConstraint

from integrity.backends import get_audit_queries, get_catalogue
from integrity.backends.expressions import condition_sql, expression_sql
from integrity.backends.upsertplan import UpsertPlan
from integrity.backends.writing import get_upserts
from integrity.exceptions import IntegrityAppError
from integrity.writes.rows import InvalidUpsert, Shape


class MissingConstraint(IntegrityAppError):
    """The database does not have the constraint that an upsert relies on."""


class UnsafeIdStorage(IntegrityAppError):
    """Columns of an SQLite table would store some ids as other values."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A model and one of its unique constraints, in expressions."""

    model: type[models.Model]
    name: str
    expressions: tuple[Any, ...]
    fields: tuple[str, ...]
    """Names of the fields, where the key is made of plain ones; else empty."""
    condition: Q | None = None
    nulls_distinct: bool = True

    @property
    def key_columns(self) -> tuple[str, ...]:
        by_name = {field.name: column_of(field) for field in self.model._meta.concrete_fields}
        return tuple(by_name[name] for name in self.fields)

    @property
    def needed(self) -> tuple[models.Field[Any, Any], ...]:
        """The fields that the key and the condition are made of."""
        names = Q(*self.expressions, self.condition or Q()).referenced_base_fields
        return tuple(field for field in self.model._meta.concrete_fields if names & {field.name, field.attname})


def column_of(field: models.Field[Any, Any]) -> str:
    """Return the column of a concrete field."""
    return str(field.column)


def find_target(
    model: type[models.Model], *, constraint: UniqueConstraint | str | None, unique_fields: Sequence[str] | None
) -> Target:
    """Return the constraint, by itself or its name, or the one over exactly these fields.

    Raises:
        InvalidUpsert: the model has no such constraint, or one that ON CONFLICT cannot use.
    """
    if (constraint is None) == (unique_fields is None):
        raise InvalidUpsert(f"{model._meta.label}: give either `constraint` or `unique_fields`.")
    if len(model._meta.concrete_fields) != len(model._meta.local_concrete_fields):
        raise InvalidUpsert(f"{model._meta.label} keeps its fields in two tables (it has a parent); upsert each model.")
    declared = [c for c in model._meta.constraints if isinstance(c, UniqueConstraint)]
    if isinstance(constraint, UniqueConstraint):
        return _of_constraint(model, constraint)
    if constraint is not None:
        found = next((c for c in declared if c.name == constraint), None)
        if found is None:
            have = ", ".join(c.name for c in declared) or "none"
            raise InvalidUpsert(f"{model._meta.label} has no UniqueConstraint {constraint!r}; it has: {have}.")
        return _of_constraint(model, found)
    return _of_fields(model, tuple(unique_fields or ()), declared)


def _of_constraint(model: type[models.Model], constraint: UniqueConstraint) -> Target:
    if constraint.deferrable is not None:
        raise InvalidUpsert(
            f"{constraint.name} is deferrable, and no database can upsert on a deferrable constraint. "
            "Make it a plain one, or write inside a transaction of your own."
        )
    return Target(
        model=model,
        name=constraint.name,
        expressions=tuple(constraint.expressions) or tuple(F(name) for name in constraint.fields),
        fields=tuple(constraint.fields),
        condition=constraint.condition,
        nulls_distinct=constraint.nulls_distinct is not False,
    )


def _of_fields(model: type[models.Model], names: tuple[str, ...], declared: list[UniqueConstraint]) -> Target:
    wanted = set(names)
    for constraint in declared:
        plain = constraint.condition is None and constraint.deferrable is None
        if plain and constraint.fields and set(constraint.fields) == wanted:
            return _of_constraint(model, constraint)
    together = [tuple(fields) for fields in model._meta.unique_together]
    single = [(field.name,) for field in model._meta.concrete_fields if field.unique]
    for fields in (*single, *together, tuple(field.name for field in model._meta.pk_fields)):
        if set(fields) == wanted:
            return Target(
                model=model, name=", ".join(fields), expressions=tuple(F(name) for name in fields), fields=fields
            )
    raise InvalidUpsert(
        f"{model._meta.label} has no plain unique constraint over {', '.join(names) or 'no field'}. "
        "Name a constraint of the model with `constraint`."
    )


def make_plan(
    target: Target,
    *,
    shape: Shape,
    update: Sequence[str] | None,
    coalesce: Sequence[str],
    newer_wins: str | None,
    overwrite: Q | None,
    using: str,
) -> UpsertPlan:
    """Compose what an upsert of rows of one shape does on a database.

    Raises:
        InvalidUpsert: ``update``, ``coalesce``, ``newer_wins`` or the target name what the rows do not bring.
    """
    model, connection = target.model, connections[using]
    if missing := [field.name for field in target.needed if field not in shape.fields]:
        raise InvalidUpsert(
            f"{model._meta.label}: {target.name} tells rows apart by {', '.join(missing)}, which the rows do not "
            "bring. Bring it in each row, or name a constraint over fields that rows can bring."
        )
    fields = {name: field for field in shape.brought for name in (field.name, field.attname)}
    for name in (*(update or ()), *coalesce, *([newer_wins] if newer_wins else [])):
        if name not in fields:
            raise InvalidUpsert(f"{model._meta.label}: the rows bring no {name!r}, which was to be written.")
    if update is None:
        compared = [column_of(field) for field in shape.brought if not _stays(field, target)]
    else:
        compared = [column_of(fields[name]) for name in update]
    newer = column_of(fields[newer_wins]) if newer_wins else None
    if newer is not None and compared and newer not in compared:
        compared.append(newer)
    kept = frozenset(map(column_of, shape.brought)) - {*compared} if update is not None else frozenset[str]()
    condition = target.condition
    return UpsertPlan(
        table=model._meta.db_table,
        pk=tuple(map(column_of, model._meta.pk_fields)),
        columns=tuple(map(column_of, shape.fields)),
        key=tuple(expression_sql(part, model=model, connection=connection) for part in target.expressions),
        condition=condition_sql(condition, model=model, connection=connection) if condition else None,
        nulls_distinct=target.nulls_distinct,
        may_lack_key=_may_lack_key(target),
        compared=tuple(compared),
        coalesced=frozenset(column_of(fields[name]) for name in coalesce),
        kept=kept,
        touched=tuple(map(column_of, shape.touched)),
        newer=newer,
        overwrite=condition_sql(overwrite, model=model, connection=connection, qualified=True) if overwrite else None,
    )


def _stays(field: models.Field[Any, Any], target: Target) -> bool:
    """Whether an existing row keeps its own value unless the caller says otherwise: its key's."""
    return field.name in target.fields or field in target.model._meta.pk_fields


def _may_lack_key(target: Target) -> bool:
    if target.condition is not None or not target.fields:
        return True
    fields = (target.model._meta.get_field(name) for name in target.fields)
    return target.nulls_distinct and any(field.null for field in fields)


@contextmanager
def constraint_required(*, table: str, name: str, using: str) -> Iterator[None]:
    """Say which constraint the block's ON CONFLICT misses, where there is none.

    Raises:
        MissingConstraint: it says how to add it.
    """
    try:
        yield
    except (OperationalError, ProgrammingError) as error:
        if not get_upserts(using=using).lacks_arbiter(error):
            raise
        raise MissingConstraint(
            f"Database {using!r} has no unique index on {table} that stands for {name!r}: rows written now could be "
            "duplicates. Run `manage.py migrate` first."
        ) from error


def require_safe_ids(model: type[models.Model], *, using: str) -> None:
    """Refuse a table whose columns change some of the ids that are written to them (SQLite's NUMERIC affinity).

    Raises:
        UnsafeIdStorage: it names the columns and the operation that repairs them.
    """
    queries = get_audit_queries(using=using)
    table = model._meta.db_table
    ids = {f.column for f in model._meta.concrete_fields if isinstance(_held(f), models.UUIDField)}
    unsafe = [c for c in get_catalogue(using=using).columns(table) if c.name in ids and queries.converts_ids(c.type)]
    if unsafe:
        raise UnsafeIdStorage(
            f"{', '.join(f'{table}.{c.name} ({c.type})' for c in unsafe)}: SQLite gives this declared type NUMERIC "
            "affinity, so ids whose hex digits look like a number would be stored as REAL or Inf, and lost. "
            "Nothing was written. Repair the columns with the migration operation RepairIdStorage first."
        )


def _held(field: models.Field[Any, Any]) -> models.Field[Any, Any]:
    """The field whose values a column holds: a foreign key's are its target's."""
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return field
