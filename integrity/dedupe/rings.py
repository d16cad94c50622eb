"""Rings: tables that point at each other, or a child that points at itself, where rows go before others have moved.

Rows of a referencing table go before its others move, to free the keys that these shall have. What still points at
them then has to wait for the end of the transaction: a foreign key that cannot, or that would do something when a row
goes, forbids it. One that sets NULL would even do it to rows before they are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from integrity.backends import RememberedCatalogue, get_catalogue, get_rows
from integrity.backends.sql import SQL, compose, on
from integrity.dedupe.collisions import frees_keys
from integrity.dedupe.pointing import is_declared_by, points_at_staged
from integrity.dedupe.refusals import refusals_of
from integrity.dedupe.stages import Stage, StagedReference, application_order


def in_rings(root: Stage, stages: Iterable[Stage], *, using: str) -> Iterator[tuple[Stage, Stage, StagedReference]]:
    """Yield each stage whose rows go before those of another, or of itself, that reference them, with that reference.

    Rows of the rule's own table that go are in the root, and those that only move in a stage beside it.
    """
    order = application_order(root, stages)
    children = order[: order.index(root)]
    for place, going in enumerate(children):
        for later, other in enumerate(children):
            for reference in (r for r in other.plain if r.target_table == going.table != root.table):
                itself = other.table == root.table
                if itself:
                    yield going, root, reference
                if later >= place or (itself and frees_keys(other, using=using)):
                    yield going, other, reference


def refuse_rings(root: Stage, stages: Iterable[Stage], *, using: str) -> None:
    """Refuse the groups whose rows go while a foreign key that does not wait still points at them."""
    catalogue, rows = RememberedCatalogue(get_catalogue(using=using)), get_rows(using=using)
    for going, other, reference in in_rings(root, stages, using=using):
        if all(key.waits for key in catalogue.foreign_keys(other.table) if is_declared_by(reference, key, catalogue)):
            continue
        still_there = {root.name: "o.action = 'remove'", going.name: "o.action = 'repoint'"}.get(other.name, "1 = 1")
        label = f"{other.table}.{', '.join(reference.columns)}"
        rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT DISTINCT r.grp, r.grp, %s
                FROM {other} AS o JOIN {table} AS c ON {is_row}
                JOIN {going} AS r ON r.action = 'remove' JOIN {target} AS t ON {is_target} AND {points}
                WHERE {still_there}
                """,
                refusals=refusals_of(root),
                other=other.name,
                table=other.table,
                is_row=on("c", other.pk, "o", other.p),
                going=going.name,
                target=going.table,
                is_target=on("t", going.pk, "r", going.p),
                points=points_at_staged(reference, going, rows),
                still_there=SQL(still_there),
            ),
            (
                f"a row of {going.table} would go while {label} still points at it, by a foreign key that cannot wait; "
                "make that DEFERRABLE and ON DELETE NO ACTION",
            ),
        )
