"""Caveats: what nothing in a plan is about, and a person should know before it is applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from django.apps.registry import Apps

from integrity.backends import get_rows
from integrity.backends.sql import compose, numbered, on
from integrity.dedupe.generickeys import can_hold, undeclared_keys_of_models
from integrity.dedupe.pointing import points_at
from integrity.dedupe.references import Reference, references_to
from integrity.dedupe.refusals import refusals_of
from integrity.dedupe.rule import SoftReference
from integrity.dedupe.stages import Stage
from integrity.dedupe.target import Target

_MANY: Final = 3000
"""Rows that 100 ms are enough for, roughly: 20 to 40 us for each."""


def caveats(target: Target, root: Stage, *, apps: Apps) -> Iterator[str]:
    """Yield each in a sentence, without its full stop. Reads what it counts."""
    if hidden := _hidden_survivors(target, root):
        manager = f"{target.model._meta.label}.{target.model._meta.default_manager.name}"
        yield (
            f"In {hidden} of the groups {manager} hides the row that stays, and not all that go, as where rows are "
            "deleted softly: let the ordering, or `complete` or the constraint's condition in a rule, see to it"
        )
    for reference, count in sorted(_undeclared(target, root, apps=apps).items()):
        yield (
            f"{reference} names {count} of the rows that go by content type and id, and is no generic foreign key: it "
            "stays as it is, unless a rule declares it (SoftReference with content_type)"
        )


def large_groups(root: Stage, stages: Sequence[Stage], *, largest: int, using: str) -> Iterator[str]:
    """Yield what takes longer than a batch may, since it is treated in one transaction or not at all.

    ``largest`` is the number of rows of the largest group of which rows go.
    """
    for stage in (root, *stages) if largest > _MANY else stages:
        if (most := _most(root, stage, using)) > _MANY:
            yield (
                f"One group has {most:,} rows of {stage.table}, and is treated in one transaction: whoever writes to "
                "one of them meanwhile waits until it is through"
            )


def _most(root: Stage, stage: Stage, using: str) -> int:
    """How many rows of a stage belong together at most, where they are not of a refused group."""
    counted = (
        "SELECT COALESCE(MAX(n), 0) FROM (SELECT COUNT(*) AS n FROM {stage} "
        "WHERE unit NOT IN (SELECT unit FROM {refusals}) GROUP BY unit) AS u"
    )
    return int(get_rows(using=using).value(compose(counted, stage=stage.name, refusals=refusals_of(root))))


def _hidden_survivors(target: Target, root: Stage) -> int:
    """How many groups lose a row that the default manager shows to one that it hides."""
    shown = target.shown()
    if shown is None:
        return 0
    rows = get_rows(using=target.using)
    keys = numbered("p", len(root.pk))
    query = compose(
        """
        WITH shown AS ({shown})
        SELECT COUNT(DISTINCT r.grp) FROM {root} AS r JOIN shown AS a ON {is_shown}
        JOIN {root} AS s ON s.grp = r.grp AND s.kind = 'survivor'
        WHERE r.action = 'remove' AND NOT EXISTS (SELECT 1 FROM shown AS b WHERE {survivor_is_shown})
        """,
        shown=shown.sql,
        root=root.name,
        is_shown=on("a", keys, "r", keys),
        survivor_is_shown=on("b", keys, "s", keys),
    )
    return int(rows.value(query, shown.params))


def _undeclared(target: Target, root: Stage, *, apps: Apps) -> dict[str, int]:
    """How many rows that go are named beside a content type where no model declares a reference, by column."""
    rows, found = get_rows(using=target.using), dict[str, int]()
    known = {(reference.table, reference.columns) for reference in target.references}
    for reference in _as_if_declared(target, apps=apps):
        if (reference.table, reference.columns) not in known:
            named = rows.value(
                compose(
                    # A join, for which SQLite makes the index that an EXISTS would have to do without.
                    "SELECT COUNT(DISTINCT r.{p1}) FROM {root} AS r JOIN {table} AS c ON {points} "
                    "WHERE r.action = 'remove'",
                    p1=root.p[0],
                    root=root.name,
                    table=reference.table,
                    points=points_at(reference, "r", root.p, rows),
                )
            )
            if named:
                found[reference.label] = found.get(reference.label, 0) + int(named)
    return found


def _as_if_declared(target: Target, *, apps: Apps) -> tuple[Reference, ...]:
    """What would be references of the rule's table if a rule declared them."""
    soft = tuple(
        SoftReference(source=ids.model._meta.label, field=ids.name, content_type=types.name)
        for types, ids in undeclared_keys_of_models(apps)
        if can_hold(ids, target.model._meta.pk)
        and {types.column, ids.column} <= {c.name for c in target.catalogue.columns(ids.model._meta.db_table)}
    )
    if not soft or target.pk != (target.model._meta.pk.column,):
        return ()
    rule = replace(target.rule, soft_references=soft, references={})
    return references_to(target.table, apps=apps, using=target.using, rule=rule, catalogue=target.catalogue)
