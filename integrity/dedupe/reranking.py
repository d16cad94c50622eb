"""Order the rows of staged groups anew, by scores that the database could not compute while it staged them."""

from __future__ import annotations

from integrity.backends import get_rows
from integrity.backends.sql import SQL, columns, compose, joined, on
from integrity.dedupe.stages import Stage


def rerank(root: Stage, *, scores: str, using: str, over_completeness: bool = False) -> None:
    """Let the row with the smallest score of its group survive; rows without a score come after, as they were.

    ``scores`` is a side table of ``p1..pn`` and ``score``. Complete rows stay before incomplete ones unless
    ``over_completeness``: a person who names a survivor knows why. To be called before references are followed.
    """
    get_rows(using=using).execute(
        compose(
            """
            UPDATE {root} SET pos = x.place, {heirs}, survivor_fp = x.first_fp, same = x.is_same,
                action = CASE WHEN x.place = 1 THEN 'keep' ELSE 'remove' END,
                kind = CASE WHEN x.place = 1 THEN 'survivor' WHEN {root}.tier > 0 THEN 'incomplete'
                            WHEN x.is_same THEN 'identical' ELSE 'conflicting' END
            FROM (
                SELECT {p}, ROW_NUMBER() OVER w AS place, {firsts}, FIRST_VALUE(r.fp) OVER w AS first_fp,
                       r.content = FIRST_VALUE(r.content) OVER w AS is_same
                FROM {root} AS r LEFT JOIN {scores} AS sc ON {scored}
                WINDOW w AS (
                    PARTITION BY r.grp ORDER BY {tier} CASE WHEN sc.score IS NULL THEN 1 ELSE 0 END, sc.score, r.pos
                )
            ) AS x
            WHERE {same_row}
            """,
            root=root.name,
            scores=scores,
            heirs=joined(", ", (f"{s} = x.first_{s}" for s in root.s)),
            p=columns(root.p, of="r"),
            firsts=joined(
                ", ", (f"FIRST_VALUE(r.{p}) OVER w AS first_{s}" for p, s in zip(root.p, root.s, strict=True))
            ),
            scored=on("sc", root.p, "r", root.p),
            tier=SQL("" if over_completeness else "r.tier,"),
            same_row=on(root.name, root.p, "x", root.p),
        )
    )
