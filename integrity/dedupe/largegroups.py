"""Take large groups apart: each of their rows but the survivor becomes a unit of its own, so that batches stay short.

A group of 200,000 rows in one transaction keeps whoever writes to one of them waiting for seconds. Nothing needs that
where its rows have no more to do with one another than that one of them stays: no field of that one is filled, no
children collide, nothing refers from one row of the table to another. A batch that removes such rows sees to it that
the survivor is there and as planned, and goes on being so until it ends (``rechecks``).

The units of such rows are numbered after the last group's, in the order of the rows. So ``unit > grp`` tells them:
the unit that tied groups share is the smallest of their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from integrity.backends import get_rows
from integrity.backends.names import GUARD
from integrity.backends.sql import SQL, compose, joined
from integrity.backends.statements import Query
from integrity.dedupe.refusals import refusals_of
from integrity.dedupe.stages import Stage
from integrity.dedupe.target import Target

LARGE: Final = 1000
"""Rows: with more, a group is taken apart if it can be. They take 20 to 40 ms."""
_FEW: Final = 10_000
"""Rows of a table that take about a millisecond to read."""


def take_apart(target: Target, root: Stage, others: Sequence[Stage], *, largest: int) -> None:
    """Give the rows of large groups units of their own, where nothing forbids it.

    ``largest`` is the number of rows of the largest group of which rows go; ``others`` are all other stages.
    """
    if largest <= LARGE or not _allowed(target, root, others):
        return
    rows, apart = get_rows(using=target.using), f"{root.name}_apart"
    rows.create_as(apart, Query(sql=_large_and_free(root, others)))
    for stage in (root, *filter(lambda other: _is_plain(root, other), others)):
        # A row that references another has the place of that one.
        rows.execute(
            compose(
                "UPDATE {stage} SET unit = a.base + {stage}.pos FROM {apart} AS a "
                "WHERE {stage}.grp = a.grp AND {stage}.pos > 1",
                stage=stage.name,
                apart=apart,
            )
        )
        rows.analyze(stage.name)
    rows.drop(apart)


def _allowed(target: Target, root: Stage, others: Sequence[Stage]) -> bool:
    """Whether rows of one group may go one after another, for all that the schema says.

    Rows of the table may refer to one another; a trigger may change the survivor when others go, which the next batch
    would take for somebody's work; where a batch has to read a referencing table, many batches read it many times.
    """
    if any(stage.table == root.table for stage in others if not stage.fills):
        return False
    if not all(_is_looked_up(target, stage) for stage in others):
        return False
    return not any(_triggers(target, stage) for stage in (root, *others))


def _is_looked_up(target: Target, stage: Stage) -> bool:
    """Whether rows that reference others are found by an index, or are few."""
    indexed = all(reference.indexed for reference in stage.references if reference.target_table)
    return indexed or target.catalogue.row_estimate(stage.table) <= _FEW


def _triggers(target: Target, stage: Stage) -> list[str]:
    """Those of the table, but for the one that keeps duplicates out while a constraint is being added."""
    return [name for name in target.catalogue.triggers(stage.table) if not name.startswith(GUARD)]


def _large_and_free(root: Stage, others: Sequence[Stage]) -> SQL:
    """Query of the large groups whose rows have nothing to do with one another, with what precedes their units."""
    tied = (
        compose(
            "AND NOT EXISTS (SELECT 1 FROM {stage} AS o WHERE o.unit = r.unit {what})",
            stage=stage.name,
            what=SQL("AND o.action <> 'repoint'" if _is_plain(root, stage) else ""),
        )
        for stage in others
    )
    return compose(
        """
        SELECT r.grp, CAST((SELECT MAX(grp) FROM {root}) - r.members
               + SUM(r.members) OVER (ORDER BY r.grp ROWS UNBOUNDED PRECEDING) AS bigint) AS base
        FROM {root} AS r
        WHERE r.pos = 1 AND r.members > {large} AND r.unit = r.grp
          AND NOT EXISTS (SELECT 1 FROM {refusals} AS f WHERE f.unit = r.unit)
          AND NOT EXISTS (SELECT 1 FROM {root} AS o WHERE o.unit = r.unit AND o.grp <> r.grp)
          {free}
        """,
        root=root.name,
        large=SQL(str(LARGE)),
        refusals=refusals_of(root),
        free=joined(" ", tied),
    )


def _is_plain(root: Stage, stage: Stage) -> bool:
    """Whether a row of the stage holds the primary key of one row of the rule's table, and nothing else that moves."""
    if len(stage.references) != 1 or not stage.plain:
        return False
    (reference,) = stage.references
    return (
        reference.target_table == root.table
        and reference.target_columns == root.pk
        and not {*reference.columns} & {*stage.pk}
    )
