"""Look at duplicate groups one by one: read-only, a bounded number of rows, one row in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.apps.registry import Apps
from django.core.exceptions import ValidationError
from django.db import connections, transaction
from django.db.models import Q
from django.db.models.expressions import RawSQL

from integrity.backends import get_rows
from integrity.backends.rows import Query, directed, numbered
from integrity.backends.sql import columns, compose, on
from integrity.dedupe.abbreviation import abbreviate
from integrity.dedupe.plan import load_plan, stages_of
from integrity.dedupe.reasons import reason_to_stay
from integrity.dedupe.refcounts import ReferenceCount, count_references
from integrity.dedupe.rule import DedupeRule
from integrity.dedupe.target import Target, resolve
from integrity.dedupe.vectors import cosine_distance, vector_of
from integrity.exceptions import IntegrityAppError

MOST_MEMBERS = 50
"""How many rows of a group are shown at most."""


class UnknownRow(IntegrityAppError):
    """The table has no such row."""


class UnknownGroup(IntegrityAppError):
    """The plan has no such group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One row of a group. Values are abbreviated, in the order of the group's columns; None for NULL."""

    pk: str
    position: int
    kind: str
    """``survivor``, ``identical``, ``incomplete`` or ``conflicting``."""
    values: tuple[str | None, ...]
    distance: float | None
    """Cosine distance (0 to 2) of its vector to the survivor's."""
    changed: bool = False
    """Whether the row is no longer as it was when the plan was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The rows of one key side by side, the one that would stay first."""

    rule: str
    database: str
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    differing: frozenset[str]
    """Columns, but for the primary key, whose values are not the same in all rows shown."""
    members: tuple[Member, ...]
    size: int
    """How many rows the group has; ``members`` holds the first ``MOST_MEMBERS``."""
    keep: str
    reason: str
    """Why the first row stays."""
    references: tuple[ReferenceCount, ...]
    gone: tuple[str, ...] = ()
    """Primary keys of planned rows that are not in the table any more."""


def inspect_group(rule: DedupeRule, *, pk: Any, apps: Apps, using: str) -> Group:
    """Return the group that a row belongs to, as it is now; a row without duplicates is a group of one.

    A row that the rule does not cover (NULL in its key, or outside the constraint's condition) has no members at
    all. Reads by the key: cheap where the key is indexed, one pass over the table where it is not.

    Raises:
        UnknownRow: there is no row with this primary key.
        IntegrityAppError: the rule does not fit the model or the database (see ``resolve``).
    """
    return _live_group(resolve(rule, apps=apps, using=using), pk)


def inspect_planned_group(rule: DedupeRule, *, plan: int, number: int, apps: Apps, using: str) -> Group:
    """Return a group of a stored plan: what it decided, beside the rows as they are now.

    Raises:
        UnknownPlan, UnknownGroup: there is none of that number.
        IntegrityAppError: the rule does not fit the model or the database (see ``resolve``).
    """
    target = resolve(rule, apps=apps, using=using)
    stored = load_plan(plan, apps=apps, using=using)
    root, _ = stages_of(stored)
    rows = get_rows(using=using)
    fp = rows.fingerprint(target.table, target.columns, alias="t")
    query = Query(
        sql=compose(
            """
            SELECT r.pos, COUNT(*) OVER (), r.kind, t.{pk1} IS NOT NULL, {fp} <> r.fp, {p}, {values}
            FROM {stage} AS r LEFT JOIN {table} AS t ON {same} WHERE r.grp = %s ORDER BY r.pos LIMIT %s
            """,
            pk1=target.pk[0],
            fp=fp,
            p=columns(root.p, of="r"),
            values=columns(target.columns, of="t"),
            stage=root.name,
            table=target.table,
            same=on("t", target.pk, "r", root.p),
        ),
        params=(number, MOST_MEMBERS),
    )
    reader = _Reader(target)
    with transaction.atomic(using=using):
        for position, size, kind, there, changed, *rest in rows.stream(query, size=1):
            pk, values = rest[: len(root.p)], rest[len(root.p) :]
            reader.size = int(size)
            if there:
                reader.add(position=position, kind=kind, changed=bool(changed), values=values)
            else:
                reader.gone.append(_words(pk))
    if not reader.size:
        raise UnknownGroup(f"Plan {plan} has no group {number}; it has {stored.document['counts']['groups']}.")
    group = reader.group(reason=f"as planned: {stored.document['keep']}", apps=apps)
    return replace(group, keep=stored.document["keep"], reason=_planned_reason(target, group))


def with_duplicates(rule: DedupeRule, *, apps: Apps, using: str) -> Q:
    """Return a condition for the rule's model: the row is in a duplicate group.

    It is one statement however many rows there are, and is read when the queryset is.

    Raises:
        IntegrityAppError: the rule does not fit the model or the database (see ``resolve``).
    """
    target = resolve(rule, apps=apps, using=using)
    keys, rows = target.keys(), target.keyed_rows()
    k = numbered("k", len(target.key.expressions))
    own = numbered("p", len(target.pk))[target.pk.index(target.model._meta.pk.column)]
    found = compose(
        """
        SELECT r.{own} FROM ({rows}) AS r
        JOIN (SELECT {k} FROM ({keys}) AS x GROUP BY {k} HAVING COUNT(*) > 1) AS d ON {same}
        """,
        own=own,
        rows=rows.sql,
        keys=keys.sql,
        k=columns(k),
        same=on("r", k, "d", k, same=_same(target)),
    )
    return Q(pk__in=RawSQL(found, (*rows.params, *keys.params)))  # noqa: S611 - composed, values are parameters


def _live_group(target: Target, pk: Any) -> Group:
    found = target.groups()
    keyed = target.keyed_rows()
    p, k = numbered("p", len(target.pk)), numbered("k", len(target.key.expressions))
    o = numbered("o", len(found.directions))
    query = Query(
        sql=compose(
            """
            SELECT m.pos, m.members, m.tier > 0, m.content = m.first_content, {o}, {values}
            FROM (
                SELECT r.*, ROW_NUMBER() OVER w AS pos, COUNT(*) OVER () AS members,
                       FIRST_VALUE(r.content) OVER w AS first_content
                FROM ({rows}) AS r JOIN (SELECT {k} FROM ({keyed}) AS x WHERE {own}) AS a ON {same_key}
                WINDOW w AS (ORDER BY {order})
            ) AS m JOIN {table} AS t ON {same_row}
            WHERE m.pos <= %s ORDER BY m.pos
            """,
            o=columns(o, of="m"),
            values=columns(target.columns, of="t"),
            rows=found.rows.sql,
            k=columns(k, of="x"),
            keyed=keyed.sql,
            own=columns_equal("x", p),
            same_key=on("r", k, "a", k, same=_same(target)),
            order=directed(found),
            table=target.table,
            same_row=on("t", target.pk, "m", p),
        ),
        params=(*found.rows.params, *keyed.params, *_key_of(target, pk), MOST_MEMBERS),
    )
    reader, orders = _Reader(target), []
    with transaction.atomic(using=target.using):
        for position, size, incomplete, same, *rest in get_rows(using=target.using).stream(query, size=1):
            kind = "incomplete" if incomplete else "identical" if same else "conflicting"
            reader.size = int(size)
            reader.add(position=position, kind="survivor" if position == 1 else kind, values=rest[len(o) :])
            orders.append(rest[: len(o)])
    return reader.group(orders)
