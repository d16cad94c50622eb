"""References inside values: ids in an array, or at a path of a JSON document. The whole value is replaced."""

from __future__ import annotations

from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, compose, joined, on
from integrity.backends.statements import Query
from integrity.dedupe.stages import Stage


def select_embedded(stage: Stage, root: Stage, *, beside: Stage | None, rows: Rows) -> Query:
    """The stage's rows: every value that holds the id of a removed row, as it is and as it will be.

    An id that is there already is not written a second time. ``beside`` is the stage of the same table's ordinary
    references: a row that goes there does not change here. Reads the whole table.
    """
    (reference,) = stage.references
    column = reference.columns[0]
    removed = compose("(SELECT * FROM {root} WHERE action = 'remove')", root=root.name)
    holds = rows.holds(SQL("c"), column, inside=reference.inside, path=reference.path, value=SQL("m.p1"))
    new = rows.replaced(SQL("c"), column, inside=reference.inside, path=reference.path, pairs=removed)
    gone = [one for one in (beside, root if root.table == stage.table else None) if one is not None]
    staying = joined(
        " ",
        (
            compose(
                "AND NOT EXISTS (SELECT 1 FROM {other} AS x WHERE x.action = 'remove' AND {same})",
                other=one.name,
                same=on("x", one.p, "c", stage.pk),
            )
            for one in gone
        ),
    )
    return Query(
        sql=compose(
            """
            SELECT a.integrity_grp AS grp, a.integrity_grp AS unit, 1 AS pos, 'repoint' AS action, 'reference' AS kind,
                   {keys}, {heirs}, a.integrity_grp AS {g}, c.{column} AS {old}, {new_value} AS {new},
                   CAST(NULL AS bigint) AS fp
            FROM (
                SELECT {pk_of_c}, MIN(m.grp) AS integrity_grp
                FROM {table} AS c JOIN {removed} AS m ON {holds} GROUP BY {pk_of_c}
            ) AS a
            JOIN {table} AS c ON {same} WHERE 1 = 1 {staying}
            """,
            keys=joined(
                ", ", (compose("c.{own} AS {p}", own=own, p=p) for own, p in zip(stage.pk, stage.p, strict=True))
            ),
            heirs=joined(
                ", ",
                (
                    compose("CASE WHEN 1 = 0 THEN c.{own} END AS {s}", own=own, s=s)
                    for own, s in zip(stage.pk, stage.s, strict=True)
                ),
            ),
            g=reference.grp,
            column=column,
            old=reference.old[0],
            new=reference.new[0],
            new_value=new,
            pk_of_c=joined(", ", (compose("c.{own}", own=own) for own in stage.pk)),
            table=stage.table,
            removed=removed,
            holds=holds,
            same=on("c", stage.pk, "a", stage.pk),
            staying=staying,
        )
    )
