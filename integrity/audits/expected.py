"""The constraint that a rule asks for: as its model declares it, and as the catalogue would show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import UniqueConstraint

from integrity import conf
from integrity.audits.words import key_in_words
from integrity.dedupe.advice import command_for
from integrity.dedupe.rule import Key, field_names
from integrity.dedupe.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedConstraint:
    """What must be unique. ``columns`` is empty where the key has expressions: then only the name can tell."""

    table: str
    key: str
    name: str
    """Its name, as the rule or the model gives it; "" where neither does."""
    columns: tuple[str, ...]
    partial: bool
    nulls_distinct: bool
    nullable: bool
    """Whether a column of the key can hold NULL."""
    deferrable: bool
    """Whether it is declared so: then nothing is amiss where the database has it so."""
    how_to_add: str
    """The end of a sentence that begins with "then"."""


def expected_constraint(target: Target) -> ExpectedConstraint:
    """Return the constraint that a rule asks for on its table."""
    fields = [target.model._meta.get_field(name) for name in target.key.fields]
    constraint = _declared_constraint(target)
    return ExpectedConstraint(
        table=target.table,
        key=key_in_words(target),
        name=constraint_name(target),
        columns=target.key_columns,
        partial=target.key.condition is not None,
        nulls_distinct=target.key.nulls_distinct,
        nullable=any(field.null for field in fields) or not fields,
        deferrable=constraint is not None and constraint.deferrable is not None,
        how_to_add=_how_to_add(target),
    )


def _how_to_add(target: Target) -> str:
    meta, name = target.model._meta, constraint_name(target)
    add = f"add {name}" if name else "add the constraint"
    by_hand = _command_that_adds(target)
    if not is_declared(model=target.model, key=target.key):
        declare = "declare a UniqueConstraint in the model's Meta and migrate"
        return f"{declare}, or, if the model is not yours: {by_hand}" if by_hand else f"{declare}."
    migrate = command_for(f"migrate {meta.app_label}", using=target.using)
    if meta.app_label == conf.OURS:
        return f"{add}: {migrate}"
    return f"{add}: {migrate}, or, if no migration of it waits: {by_hand}"


def _command_that_adds(target: Target) -> str:
    """The command that adds it without a migration; "" where NULLs are equal in fields that no constraint names."""
    constraint, meta = _declared_constraint(target), target.model._meta
    if constraint is None and not target.key.nulls_distinct:
        return ""
    key = ",".join(meta.get_field(field).name for field in target.key.fields)
    asked = f"--key {key}" if constraint is None else f"--constraint {constraint.name}"
    return command_for(f"add_unique {meta.label} {asked}", using=target.using)


def constraint_name(target: Target) -> str:
    """Return the name that the rule or the model gives the constraint, or ""."""
    constraint = _declared_constraint(target)
    return "" if constraint is None else constraint.name


def _declared_constraint(target: Target) -> UniqueConstraint | None:
    """The constraint of the rule, or one of the model on its key."""
    constraint = target.rule.constraint
    if isinstance(constraint, UniqueConstraint):
        return constraint
    return next(
        (
            c
            for c in _unique_constraints(target.model)
            if constraint == c.name or target.key.is_that_of(c, target.model)
        ),
        None,
    )


def is_declared(*, model: Any, key: Key) -> bool:
    """Whether the model's own declaration makes the key unique: in Meta, or as a unique field."""
    names = field_names(model, key.fields)
    if any(key.is_that_of(constraint, model) for constraint in _unique_constraints(model)):
        return True
    if not names or key.condition is not None or not key.nulls_distinct:
        return False
    together = (field_names(model, fields) for fields in model._meta.unique_together)
    return names in together or (len(names) == 1 and model._meta.get_field(next(iter(names))).unique)


def _unique_constraints(model: Any) -> list[UniqueConstraint]:
    return [c for c in model._meta.concrete_model._meta.constraints if isinstance(c, UniqueConstraint)]
