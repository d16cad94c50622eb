"""Couplings: groups that one row ties together must be treated in one transaction. They share a *unit*."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from integrity.backends import get_catalogue, get_rows
from integrity.backends.sql import SQL, compose, joined, on
from integrity.backends.statements import Query
from integrity.dedupe.pointing import points_at
from integrity.dedupe.refusals import refusals_of
from integrity.dedupe.stages import Stage, StagedReference


def couple(root: Stage, others: Sequence[Stage], *, using: str) -> None:
    """Give groups that a row ties together the same unit: the smallest of their numbers."""
    rows = get_rows(using=using)
    pairs = joined(" UNION ", _pairs(root, others, using=using))
    units = f"{root.name}_units"
    if not pairs:
        return
    both_ways = compose(
        """
        WITH pairs AS ({pairs})
        SELECT a, b, a AS unit FROM (
            SELECT a, b FROM pairs UNION SELECT b, a FROM pairs
            UNION SELECT a, a FROM pairs UNION SELECT b, b FROM pairs
        ) AS p
        """,
        pairs=pairs,
    )
    rows.create_as(units, Query(sql=both_ways))
    if rows.value(compose("SELECT COUNT(*) FROM {units}", units=units)):
        _spread(units, using=using)
        for name in (*(stage.name for stage in (root, *others)), refusals_of(root)):
            rows.execute(
                compose(
                    "UPDATE {name} SET unit = u.unit FROM {units} AS u "
                    "WHERE {name}.grp = u.a AND u.b = u.a AND {name}.unit <> u.unit",
                    name=name,
                    units=units,
                )
            )
    rows.drop(units)


def _spread(units: str, *, using: str) -> None:
    """Let the smallest number of every connected component reach all its members.

    A group hands what it hears from a neighbour on to the group that is its unit so far, and takes over that one's
    unit: the passes grow with the logarithm of a chain's length.
    """
    while get_rows(using=using).execute(
        compose(
            """
            UPDATE {units} SET unit = n.least FROM (
                SELECT m.a, MIN(m.unit) AS least FROM (
                    SELECT e.a, o.unit FROM {units} AS e JOIN {units} AS o ON o.a = e.b AND o.b = o.a
                    UNION ALL
                    SELECT e.unit, o.unit FROM {units} AS e JOIN {units} AS o ON o.a = e.b AND o.b = o.a
                    UNION ALL
                    SELECT e.a, o.unit FROM {units} AS e JOIN {units} AS o ON o.a = e.unit AND o.b = o.a
                ) AS m GROUP BY m.a
            ) AS n WHERE {units}.a = n.a AND {units}.unit > n.least
            """,
            units=units,
        )
    ):
        pass


def _pairs(root: Stage, others: Sequence[Stage], *, using: str) -> list[SQL]:
    """Queries of pairs (a, b) of groups."""
    pairs = []
    for stage in others:
        if len(stage.references) > 1:  # whose first group is the row's own
            pairs += [
                compose("SELECT grp AS a, {g} AS b FROM {stage} WHERE grp <> {g}", g=reference.grp, stage=stage.name)
                for reference in stage.references
            ]
        pairs.append(_heirs_of_other_groups(stage))
        pairs += [
            _several_groups_inside(one, root, r, using=using)
            for r in stage.references
            if r.inside
            for one in (root, *others)  # of the same table: a row that goes there is in no stage of ids inside
            if one.table == stage.table
        ]
    for one_stage, other_stage in combinations((root, *others), 2):
        if one_stage.table == other_stage.table:
            pairs.append(_same_row(one_stage, other_stage))
    for stage in others:
        if stage.table == root.table:
            pairs += [
                _removed_and_pointing(root, r, target, using=using)
                for r in stage.plain
                for target in (root, *others)
                if r.target_table == target.table
            ]
            pairs += [_freed_by_removal(root, stage, r) for r in stage.plain if _is_unique(root, r, using=using)]
    return pairs


def _heirs_of_other_groups(stage: Stage) -> SQL:
    """A row of one group yields to a row that belongs to another."""
    return compose(
        "SELECT l.grp AS a, w.grp AS b FROM {stage} AS l JOIN {stage} AS w ON {is_heir} "
        "WHERE l.action = 'remove' AND l.grp <> w.grp",
        stage=stage.name,
        is_heir=on("w", stage.p, "l", stage.s),
    )


def _same_row(one: Stage, other: Stage) -> SQL:
    """One row is staged twice, in two columns or as a member of a group and as a reference."""
    return compose(
        "SELECT r.grp AS a, t.grp AS b FROM {one} AS r JOIN {other} AS t ON {same} WHERE r.grp <> t.grp",
        one=one.name,
        other=other.name,
        same=on("r", one.p, "t", other.p),
    )


def _removed_and_pointing(root: Stage, reference: StagedReference, target: Stage, *, using: str) -> SQL:
    """A removed row of one group of the rule's own table points at a removed row of another, there or elsewhere."""
    return compose(
        """
        SELECT r.grp AS a, m.grp AS b FROM {root} AS r JOIN {table} AS c ON {same} JOIN {target} AS m ON {points}
        WHERE r.action = 'remove' AND m.action = 'remove' AND r.grp <> m.grp
        """,
        root=root.name,
        table=root.table,
        same=on("c", root.pk, "r", root.p),
        target=target.name,
        points=points_at(reference, "m", target.p, get_rows(using=using))
        if reference.target_columns == target.pk
        else _by_target(target, reference, using=using),
    )


def _freed_by_removal(root: Stage, stage: Stage, reference: StagedReference) -> SQL:
    """In such a table: a row shall have what a removed row of another group holds under a unique index."""
    return compose(
        """
        SELECT st.grp AS a, m.grp AS b FROM {stage} AS st JOIN {table} AS c ON {same_value} JOIN {root} AS m ON {same}
        WHERE st.action = 'repoint' AND m.action = 'remove' AND st.grp <> m.grp
        """,
        stage=stage.name,
        table=root.table,
        same_value=on("c", reference.columns, "st", reference.new),
        root=root.name,
        same=on("c", root.pk, "m", root.p),
    )


def _is_unique(root: Stage, reference: StagedReference, *, using: str) -> bool:
    indexes = get_catalogue(using=using).indexes(root.table)
    return any(index.unique and {*reference.columns} & {*index.columns} for index in indexes)


def _by_target(target: Stage, reference: StagedReference, *, using: str) -> SQL:
    """The same where the reference holds another column of the target than its primary key."""
    return compose(
        "EXISTS (SELECT 1 FROM {table} AS t WHERE {is_row} AND {points})",
        table=target.table,
        is_row=on("t", target.pk, "m", target.p),
        points=points_at(reference, "t", reference.target_columns, get_rows(using=using)),
    )


def _several_groups_inside(stage: Stage, root: Stage, reference: StagedReference, *, using: str) -> SQL:
    """One array or document holds ids of rows of several groups."""
    return compose(
        """
        SELECT st.grp AS a, r.grp AS b FROM {stage} AS st JOIN {table} AS c ON {same}
        JOIN {root} AS r ON r.action = 'remove' AND {holds} WHERE r.grp <> st.grp
        """,
        stage=stage.name,
        table=stage.table,
        same=on("c", stage.pk, "st", stage.p),
        root=root.name,
        holds=get_rows(using=using).holds(
            SQL("c"), reference.columns[0], inside=reference.inside, path=reference.path, value=SQL("r.p1")
        ),
    )
