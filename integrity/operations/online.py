"""Bring a unique constraint to a table in use: what migrations and the command ``add_unique`` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from django.apps.registry import Apps
from django.db import models
from django.db.models.expressions import ExpressionList

from integrity.backends import get_catalogue
from integrity.backends.unique import NotUnique, Outcome, Say, Wanted, get_unique
from integrity.dedupe import DedupeRule
from integrity.dedupe.advice import command_for
from integrity.operations.removal import refuse_duplicates, remove_duplicates


def add_unique_online(
    *,
    model: type[models.Model],
    constraint: models.UniqueConstraint,
    rule: DedupeRule | None,
    apps: Apps,
    using: str,
    say: Say,
    begin: Callable[[], None] = lambda: None,
) -> Outcome | None:
    """Add the constraint and return what enforces it; None where the database has no such constraint.

    ``rule`` says which row of a duplicate group stays; its key is the constraint's. Without one, duplicates are an
    error. ``begin`` is called before the first change, and not at all where an equivalent is there already.

    Raises:
        DuplicatesRemain: there are duplicates that were not to be removed, or could not be.
        NotUnique: the table lacks a column of the key, something else has the name, or the database cannot hold it.
        IntegrityAppError: a privilege is missing, a lock was not free.
    """
    _require_columns(model, constraint, using=using)
    if rule is None:
        counted = DedupeRule(model=model._meta.label, constraint=constraint)
        settle: Callable[[], None] = partial(refuse_duplicates, counted, apps=apps, using=using)
    else:
        # The constraint is the key, so that NULLs, conditions and expressions count as they will.
        keyed = replace(rule, model=model._meta.label, fields=(), nulls="", constraint=constraint)
        settle = partial(remove_duplicates, keyed, apps=apps, using=using, say=say)
    wanted = Wanted(model=model, constraint=constraint, remove=settle, begin=begin)
    outcome = get_unique(using=using).add(wanted, say=say)
    if outcome is not None and outcome.accepted:
        say(f"{model._meta.db_table}: {outcome.name} was there already and is accepted")
    return outcome


def _require_columns(model: type[models.Model], constraint: models.UniqueConstraint, *, using: str) -> None:
    # SQLite takes a quoted name that it does not know for a text, and would index a constant.
    parts: list[Any] = [p for p in ExpressionList(*constraint.expressions).flatten() if isinstance(p, models.F)]
    names = (*constraint.fields, *(part.name for part in parts))
    table = model._meta.db_table
    have = {column.name.lower() for column in get_catalogue(using=using).columns(table)}
    columns = [str(field.column) for field in model._meta.concrete_fields if {field.name, field.attname} & {*names}]
    if not have:
        raise NotUnique(
            f"Database {using!r} has no table {table!r} ({model._meta.label}). Check that it is the right one; "
            f"`{command_for('migrate', using=using)}` makes or adopts the tables."
        )
    if missing := [name for name in columns if name.lower() not in have]:
        raise NotUnique(
            f"Table {table!r} of database {using!r} lacks {', '.join(map(repr, missing))}, which {constraint.name} is "
            "on. Add the column; if it is inherited, constrain the parent's model."
        )
