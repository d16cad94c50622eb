"""Find duplicates: count them, or stage them. Reads the rule's table only, and takes no row locks."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import transaction

from integrity.backends import get_rows
from integrity.backends.sql import SQL, columns, compose, numbered
from integrity.backends.statements import Query
from integrity.dedupe.abbreviation import abbreviate
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


def largest_groups(rule: DedupeRule, *, most: int, apps: Apps, using: str) -> tuple[str, ...]:
    """Return the keys of the largest groups in words: ``(a@b.c, 7) in 3 rows``. Reads every key.

    Raises:
        IntegrityAppError: the rule does not fit the model or the database (see ``resolve``).
    """
    target = resolve(rule, apps=apps, using=using)
    keys, k = target.keys(), columns(numbered("k", len(target.key.expressions)))
    query = compose(
        """
        SELECT COUNT(*), {k} FROM ({keys}) AS r GROUP BY {k} HAVING COUNT(*) > 1 ORDER BY 1 DESC, {k} LIMIT %s
        """,
        k=k,
        keys=keys.sql,
    )
    with types_allow(rule), transaction.atomic(using=using):
        found = list(get_rows(using=using).stream(Query(sql=query, params=(*keys.params, most))))
    shown = ((count, ["NULL" if value is None else abbreviate(value) for value in key]) for count, *key in found)
    return tuple(f"({', '.join(map(str, key))}) in {count} rows" for count, key in shown)


def count_groups(target: Target) -> DuplicateCount:
    """The same for a rule that is resolved already.

    Raises:
        InvalidRule: a column of the key has a type without equality.
    """
    rows = get_rows(using=target.using)
    with types_allow(target.rule):
        groups, redundant = rows.count_groups(target.keys(), key_count=len(target.key.expressions))
    return DuplicateCount(groups=groups, redundant=redundant)


def stage_duplicates(target: Target, *, name: str, limit: int | None, among: SQL | None) -> Stage:
    """Create the root stage of a plan: every row of every duplicate group (of the first ``limit`` groups).

    ``among``, a query of primary keys, names the rows that are looked at; None: all.

    Raises:
        InvalidRule: a column of the key, or of the ordering, has a type without an order.
    """
    rows = get_rows(using=target.using)
    with types_allow(target.rule):
        query = target.groups(limit=limit)
        rows.stage_groups(name, query if among is None else query.among(among, keyed=target.keyed_rows()))
    rows.finish_stage(name, pk_count=len(target.pk))
    return Stage(name=name, table=target.table, pk=target.pk, columns=target.columns)
