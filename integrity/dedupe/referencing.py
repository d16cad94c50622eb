"""References in columns: the rows that hold the key of a removed row, and what they will hold instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, coalesce, columns, compose, joined, on
from integrity.backends.statements import Query
from integrity.dedupe.maps import map_of
from integrity.dedupe.pointing import holds_key
from integrity.dedupe.stages import Stage, StagedReference


def select_referencing(stage: Stage, sources: Sequence[Stage], *, root: Stage, rows: Rows) -> Query:
    """Every row that references a removed row, with old and new values of each reference.

    ``sources`` are, for each of the stage's references, the stage of the rows that it points at. Of the rule's own
    table, rows that go anyway are left out.
    """
    maps = {r: map_of(r, source, rows) for r, source in zip(stage.references, sources, strict=True)}
    affected = joined(
        " UNION ",
        (
            compose(
                "SELECT {pk} FROM {map} AS m JOIN {table} AS c ON {points}",
                pk=columns(stage.pk, of="c"),
                map=a_map,
                table=stage.table,
                points=_matches(r, "m"),
            )
            for r, a_map in maps.items()
        ),
    )
    sides = joined(
        " ",
        (
            compose("LEFT JOIN {map} AS {m} ON {points}", map=a_map, m=_side(r), points=_matches(r, _side(r)))
            for r, a_map in maps.items()
        ),
    )
    values = _columns_of(maps)
    return Query(
        sql=compose(
            """
            SELECT {group} AS grp, {group} AS unit, {position} AS pos, 'repoint' AS action, 'reference' AS kind,
                   {keys}, {heirs}, {values}, CAST(NULL AS bigint) AS fp
            FROM ({affected}) AS a JOIN {table} AS c ON {same} {sides} WHERE {staying}
            ORDER BY 1
            """,
            group=coalesce(*(compose("{m}.{g}", m=_side(r), g=r.grp) for r in maps)),
            position=coalesce(*(compose("{m}.pos", m=_side(r)) for r in maps)),
            keys=_named("c", stage.pk, stage.p),
            heirs=joined(
                ", ",
                (
                    compose("CASE WHEN 1 = 0 THEN c.{own} END AS {s}", own=own, s=s)
                    for own, s in zip(stage.pk, stage.s, strict=True)
                ),
            ),
            values=values,
            affected=affected,
            table=stage.table,
            same=on("c", stage.pk, "a", stage.pk),
            sides=sides,
            staying=not_removed_by(root, stage),
        )
    )


def not_removed_by(root: Stage, stage: Stage) -> SQL:
    """Condition: in the rule's own table, the row ``c`` does not go anyway."""
    if stage.table != root.table:
        return SQL("1 = 1")
    return compose(
        "NOT EXISTS (SELECT 1 FROM {root} AS x WHERE x.action = 'remove' AND {same})",
        root=root.name,
        same=on("x", root.p, "c", stage.pk),
    )


def _side(reference: StagedReference) -> str:
    return f"m{reference.number}"


def _matches(reference: StagedReference, side: str) -> SQL:
    """Condition: the row ``c`` has the old values of a map."""
    return holds_key(reference, (compose("{side}.{old}", side=side, old=old) for old in reference.old))


def _columns_of(references: dict[StagedReference, SQL]) -> SQL:
    """Group, old and new values of every reference, each from its own map; the old ones as the row spells them."""
    return joined(
        ", ",
        (joined(", ", (columns((r.grp, *r.new), of=_side(r)), *_old_values(r))) for r in references),
    )


def _old_values(reference: StagedReference) -> Iterator[SQL]:
    for column, old in zip(reference.columns, reference.old, strict=True):
        yield compose(
            "CASE WHEN {m}.{grp} IS NOT NULL THEN c.{column} END AS {old}",
            m=_side(reference),
            grp=reference.grp,
            column=column,
            old=old,
        )


def _named(of: str, names: Sequence[str], new_names: Sequence[str]) -> SQL:
    """``of.a AS p1, of.b AS p2``."""
    return joined(
        ", ",
        (compose("{of}.{a} AS {b}", of=of, a=a, b=b) for a, b in zip(names, new_names, strict=True)),
    )
