"""Rank the rows of duplicate groups, as the rule orders them: the one at the first place survives."""

from __future__ import annotations

from dataclasses import dataclass, replace

from integrity.backends.sql import SQL, columns, compose, identifier, joined, numbered
from integrity.backends.statements import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupQuery:
    """What ``stage_groups`` needs."""

    rows: Query
    """Each row's ``p``, ``k``, ``o`` columns, ``tier``, ``content``, ``fp``, ``place``, ``version``."""
    keys: Query
    """The same rows, their ``k`` columns only: what the search for duplicates has to read."""
    pk_count: int
    key_count: int
    directions: tuple[str, ...]
    """One for each ``o`` column: ``ASC``, ``DESC NULLS LAST``, ..."""
    nulls_distinct: bool
    limit: int | None = None

    def among(self, keys: SQL, *, keyed: Query) -> GroupQuery:
        """The same over the rows alone whose primary keys a query yields; ``keyed`` is all rows' ``p`` and ``k``."""

        def narrowed(rows: Query) -> Query:
            p = columns(numbered("p", self.pk_count))
            narrow = "SELECT * FROM ({rows}) AS r WHERE ({p}) IN ({keys})"
            return Query(sql=compose(narrow, rows=rows.sql, p=p, keys=keys), params=rows.params)

        return replace(self, rows=narrowed(self.rows), keys=narrowed(keyed))


def directed(query: GroupQuery) -> SQL:
    """``o1 ASC, o2 DESC NULLS LAST, p1``: the order of the rows within a group."""
    parts = [
        f"{identifier(o)} {d}" for o, d in zip(numbered("o", len(query.directions)), query.directions, strict=True)
    ]
    return joined(", ", [*parts, columns(numbered("p", query.pk_count))])


def ranked_select(query: GroupQuery, *, source: SQL) -> SQL:
    """Number groups and rows over ``source``, which yields candidate rows with all columns of ``query.rows``.

    Groups are numbered by where their survivors lie, so that a batch touches few pages; the rows come in the order of
    groups and places, as PostgreSQL numbers them, for which they need not be sorted once more.
    """
    p, k = numbered("p", query.pk_count), numbered("k", query.key_count)
    survivors = joined(", ", (compose("FIRST_VALUE({name}) OVER w AS {s}", name=name, s=f"s{name[1:]}") for name in p))
    return compose(
        """
        SELECT grp, grp AS unit, pos, CASE WHEN pos = 1 THEN 'keep' ELSE 'remove' END AS action,
               CASE WHEN pos = 1 THEN 'survivor' WHEN tier > 0 THEN 'incomplete'
                    WHEN content = first_content THEN 'identical' ELSE 'conflicting' END AS kind,
               content = first_content AS same, tier, content, {p}, {s}, {k}, fp, survivor_fp, place, version, members
        FROM (
            SELECT DENSE_RANK() OVER (ORDER BY first_place, {k}) AS grp, ranked.*
            FROM (SELECT * FROM (
                SELECT {p}, {k}, tier, content, fp, place, version,
                       ROW_NUMBER() OVER w AS pos, COUNT(*) OVER w AS members,
                       FIRST_VALUE(content) OVER w AS first_content, FIRST_VALUE(fp) OVER w AS survivor_fp,
                       FIRST_VALUE(place) OVER w AS first_place, {survivors}
                FROM ({source}) AS c
                WINDOW w AS (
                    PARTITION BY {k} ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                )
            ) AS counted
            WHERE members > 1
            ORDER BY first_place, {k}, pos) AS ranked
        ) AS numbered
        {limit}
        """,
        p=columns(p),
        s=columns(numbered("s", query.pk_count)),
        k=columns(k),
        survivors=survivors,
        source=source,
        order=directed(query),
        limit=SQL("" if query.limit is None else f"WHERE grp <= {int(query.limit)}"),
    )
