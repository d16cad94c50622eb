"""Find duplicates: count them, or stage them. Reads the rule's table only, and takes no row locks."""

from __future__ import annotations

from django.apps.registry import Apps

from integrity.backends import get_rows
from integrity.dedupe.results import DuplicateCount
from integrity.dedupe.rule import DedupeRule
from integrity.dedupe.stages import Stage
from integrity.dedupe.target import Target, resolve
from integrity.dedupe.types import types_allow


def count_duplicates(rule: DedupeRule, *, apps: Apps, using: str) -> DuplicateCount:
    """Count duplicate groups and redundant rows. It needs none of our tables in the database.

    Raises:
        IntegrityAppError: the rule does not fit the model or the database (see ``resolve``).
    """
    return count_groups(resolve(rule, apps=apps, using=using))


def count_groups(target: Target) -> DuplicateCount:
    """The same for a rule that is resolved already.

    Raises:
        InvalidRule: a column of the key has a type without equality.
    """
    rows = get_rows(using=target.using)
    with types_allow(target.rule):
        groups, redundant = rows.count_groups(target.keys(), key_count=len(target.key.expressions))
    return DuplicateCount(groups=groups, redundant=redundant)


def stage_duplicates(target: Target, *, name: str, limit: int | None) -> Stage:
    """Create the root stage of a plan: every row of every duplicate group (of the first ``limit`` groups).

    Raises:
        InvalidRule: a column of the key, or of the ordering, has a type without an order.
    """
    rows = get_rows(using=target.using)
    with types_allow(target.rule):
        rows.stage_groups(name, target.groups(limit=limit))
    rows.finish_stage(name, pk_count=len(target.pk))
    return Stage(name=name, table=target.table, pk=target.pk, columns=target.columns)
