"""Bring a unique constraint to a table in use: what migrations and the command ``add_unique`` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from django.apps.registry import Apps
from django.db import models

from integrity.backends.unique import Outcome, Say, Wanted, get_unique
from integrity.dedupe import DedupeRule
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
        IntegrityAppError: something else has the name, a privilege is missing, a lock was not free.
    """
    if rule is None:
        counted = DedupeRule(model=model._meta.label, constraint=constraint)
        settle: Callable[[], None] = partial(refuse_duplicates, counted, apps=apps, using=using)
    else:
        # The constraint is the key, so that NULLs, conditions and expressions count as they will.
        keyed = replace(rule, model=model._meta.label, fields=(), constraint=constraint)
        settle = partial(remove_duplicates, keyed, apps=apps, using=using, say=say)
    wanted = Wanted(model=model, constraint=constraint, remove=settle, begin=begin)
    outcome = get_unique(using=using).add(wanted, say=say)
    if outcome is not None and outcome.accepted:
        say(f"{model._meta.db_table}: {outcome.name} was there already and is accepted")
    return outcome
