"""Look at duplicate groups: read-only, a bounded number of rows of each, one whole row in memory at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.apps.registry import Apps
from django.core.exceptions import ValidationError
from django.db import connections, transaction
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

from integrity.backends import get_rows
from integrity.backends.ranking import directed
from integrity.backends.sql import columns, compose, identifier, joined, numbered, on
from integrity.backends.statements import Query
from integrity.dedupe.abbreviation import abbreviate
from integrity.dedupe.export import planned_survivor
from integrity.dedupe.groups import Group, GroupReader
from integrity.dedupe.plans import load_plan, require_groups, stages_of
from integrity.dedupe.reasons import reason_to_stay
from integrity.dedupe.rule import DedupeRule, InvalidRule
from integrity.dedupe.target import Target, resolve
from integrity.exceptions import IntegrityAppError

MOST_MEMBERS = 50
"""How many rows of a group are shown at most."""


class UnknownRow(IntegrityAppError):
    """The table has no such row."""


def with_duplicates(rule: DedupeRule, *, apps: Apps, using: str) -> Q:
    """Return a condition on the rule's model: the row is in a duplicate group.

    It becomes part of one statement, however many rows there are, and is read when the queryset is: one pass over
    the keys, or one over their index.

    Raises:
        IntegrityAppError: the rule does not fit the model or the database (see ``resolve``).
    """
    target = resolve(rule, apps=apps, using=using)
    own = target.model._meta.pk.column
    if own is None:
        raise InvalidRule(f"{rule.model} has a primary key of several columns; Django cannot compare it with a query.")
    keys, rows = target.keys(), target.keyed_rows()
    k = numbered("k", len(target.key.expressions))
    found = compose(
        """
        SELECT r.{own} FROM ({rows}) AS r
        JOIN (SELECT {k} FROM ({keys}) AS x GROUP BY {k} HAVING COUNT(*) > 1) AS d ON {same_key}
        """,
        own=numbered("p", len(target.pk))[target.pk.index(own)],
        rows=rows.sql,
        keys=keys.sql,
        k=columns(k),
        same_key=on("r", k, "d", k, same=_same(target)),
    )
    return Q(pk__in=RawSQL(found, (*rows.params, *keys.params)))  # noqa: S611 - composed; values are parameters


def inspect_group(rule: DedupeRule, *, pk: Any, apps: Apps, using: str) -> Group:
    """Return the group that a row belongs to now; a row without duplicates is a group of one.

    A row that the rule does not cover (NULL in its key, or outside the constraint's condition) gives a group
    without members. The group is looked up by its key: cheap with an index on it, one pass over the table without.

    Raises:
        UnknownRow: there is no row with this primary key.
        IntegrityAppError: the rule does not fit the model or the database (see ``resolve``).
    """
    target = resolve(rule, apps=apps, using=using)
    reader, orders = GroupReader(target), []
    query, order_count = _members_of(target, pk)
    with transaction.atomic(using=using):
        for position, reader.size, incomplete, same, *rest in get_rows(using=using).stream(query, size=1):
            kind = "incomplete" if incomplete else "identical" if same else "conflicting"
            reader.add(rest[order_count:], kind="survivor" if position == 1 else kind)
            orders.append(rest[:order_count])
    reason = ""
    if len(orders) > 1:
        reason = reason_to_stay(target, orders=(orders[0], orders[1]), rows=(reader.first[0], reader.first[1]))
    return reader.group(keep=target.why, reason=reason)


def inspect_planned_group(rule: DedupeRule, *, plan: int, number: int, apps: Apps, using: str) -> Group:
    """Return a group of a stored plan: what was decided, beside the rows as they are now.

    Raises:
        UnknownPlan: there is no such plan.
        UnknownGroup: it has no such group.
        IntegrityAppError: the rule does not fit the model or the database (see ``resolve``).
    """
    target = resolve(rule, apps=apps, using=using)
    stored = load_plan(plan, apps=apps, using=using)
    require_groups(stored, (number,))
    keep = stored.document["keep"]
    reader, pk = GroupReader(target), len(target.pk)
    query = _planned(target, stored, number)
    with transaction.atomic(using=using):
        for kind, reader.size, there, changed, *rest in get_rows(using=using).stream(query, size=1):
            if there:
                reader.add(rest[pk:], kind=kind, changed=bool(changed))
            else:
                reader.gone.append(", ".join(map(str, rest[:pk])))
        survivor = planned_survivor(stored, number, using=using)
    reason = _reason_planned(rule, reader, keep=keep, apps=apps)
    fills = tuple(replace(c, old=abbreviate(c.old), new=abbreviate(c.new)) for c in survivor.changes)
    return replace(reader.group(keep=keep, reason=reason), fills=fills, refused=survivor.refused)


def _reason_planned(rule: DedupeRule, reader: GroupReader, *, keep: str, apps: Apps) -> str:
    """Why the survivor stays, in detail where the group still looks as the plan found it."""
    target, members = reader.target, reader.members
    if target.why == keep and len(members) > 1:
        pk = tuple(reader.first[0][field.column] for field in target.model._meta.pk_fields)
        live = inspect_group(rule, pk=pk if len(pk) > 1 else pk[0], apps=apps, using=target.using)
        if live.members and live.members[0].pk == members[0].pk:
            return live.reason
    return f"as planned: {keep}"


def _members_of(target: Target, pk: Any) -> tuple[Query, int]:
    """The rows that share the key of one: position, size of the group, incomplete, same content, orders, columns."""
    ranked, keyed, rows = target.groups(), target.keyed_rows(), get_rows(using=target.using)
    p, k = numbered("p", len(target.pk)), numbered("k", len(target.key.expressions))
    o = numbered("o", len(ranked.directions))
    sql = compose(
        """
        SELECT m.pos, m.members, m.tier > 0, m.content = m.first_content, {orders}, {values}
        FROM (
            SELECT r.*, ROW_NUMBER() OVER w AS pos, COUNT(*) OVER () AS members,
                   FIRST_VALUE(r.content) OVER w AS first_content
            FROM ({rows}) AS r JOIN (SELECT {k} FROM ({keyed}) AS x WHERE {this_row}) AS a ON {same_key}
            WINDOW w AS (ORDER BY {order})
        ) AS m JOIN {table} AS t ON {same_row}
        WHERE m.pos <= %s ORDER BY m.pos
        """,
        orders=rows.as_stored(o, of="m"),
        values=rows.as_stored(target.columns, of="t"),
        rows=ranked.rows.sql,
        k=columns(k),
        keyed=keyed.sql,
        this_row=joined(" AND ", (f"{identifier(name)} = %s" for name in p)),
        same_key=on("r", k, "a", k, same=_same(target)),
        order=directed(ranked),
        table=target.table,
        same_row=on("t", target.pk, "m", p),
    )
    params = (*ranked.rows.params, *keyed.params, *_primary_key(target, pk), MOST_MEMBERS)
    return Query(sql=sql, params=params), len(o)


def _planned(target: Target, stored: Any, number: int) -> Query:
    """The rows of a plan's group: kind, size of the group, there, changed, primary key, columns."""
    root, _ = stages_of(stored)
    rows = get_rows(using=target.using)
    sql = compose(
        """
        SELECT r.kind, COUNT(*) OVER (), t.{pk1} IS NOT NULL, {fp} <> r.fp, {p}, {values}
        FROM {stage} AS r LEFT JOIN {table} AS t ON {same_row} WHERE r.grp = %s ORDER BY r.pos LIMIT %s
        """,
        pk1=target.pk[0],
        fp=rows.fingerprint(target.table, target.columns, alias="t"),
        p=columns(root.p, of="r"),
        values=rows.as_stored(target.columns, of="t"),
        stage=root.name,
        table=target.table,
        same_row=on("t", target.pk, "r", root.p),
    )
    return Query(sql=sql, params=(number, MOST_MEMBERS))


def _primary_key(target: Target, pk: Any) -> tuple[Any, ...]:
    """The row's primary key columns as the database takes them.

    Raises:
        UnknownRow: there is no row with this primary key.
    """
    fields = {field.column: field for field in target.model._meta.concrete_fields}
    own = [fields[column] for column in target.pk]
    rows: QuerySet[Any] = QuerySet(target.model, using=target.using)  # managers may hide rows
    try:
        found = rows.filter(pk=pk).values_list(*(field.attname for field in own)).first()
    except (ValidationError, ValueError, TypeError):
        found = None
    if found is None:
        raise UnknownRow(f"Table {target.table!r} has no row {str(pk)[:100]!r}.")
    connection = connections[target.using]
    return tuple(field.get_db_prep_value(value, connection) for field, value in zip(own, found, strict=True))


def _same(target: Target) -> str:
    """How keys are compared: NULLs are equal only where the constraint has them so."""
    return "=" if target.key.nulls_distinct else get_rows(using=target.using).same
