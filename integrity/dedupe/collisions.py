"""Collisions: rows that would not be unique once their references have moved. One of those that meet stays.

The row that does not have to move stays before one that does; among those that move, the one that came from the
better row of the group. A row that moves only since another one of its table goes comes before those that move anyway,
or the choice between two would turn with its own consequences.

Every unique index of the table counts: partial ones, those on expressions, and the primary key. To see what an index
would say, it is asked about an *image* of the rows: their columns as they will be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from integrity.backends import Catalogue, Index, get_catalogue
from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, catalogued, coalesce, columns, compose, joined, numbered, on
from integrity.dedupe.referencing import not_removed_by
from integrity.dedupe.stages import Stage, StagedReference

_COLLATE = re.compile(r"\bCOLLATE\b", re.IGNORECASE)
Generated = Mapping[str, str | None]
"""The columns that the database computes, with their expressions, where the catalogue knows them."""


def mark_collisions(stage: Stage, catalogue: Catalogue, *, root: Stage, rows: Rows) -> None:
    """Mark as removed the staged rows that would not be unique after the move, each with the row it yields to."""
    changing = {column for reference in stage.plain for column in reference.columns}
    generated = {column.name: column.default for column in catalogue.columns(stage.table) if column.generated}
    for index in catalogue.indexes(stage.table):
        plain = plain_key(index, generated)
        if index.unique and index.valid and (plain is None or changing & set(plain)):
            _mark(stage, index, generated, root=root, rows=rows)
    _follow_heirs(stage, rows)


def plain_key(index: Index, generated: Generated) -> list[str] | None:
    """The index's columns where nothing else decides what it says of a row; else None."""
    columns = [column for column in index.columns if column is not None and column not in generated]
    by_value = not any(_COLLATE.search(part) for part in index.keys)
    return columns if by_value and len(columns) == len(index.columns) and index.predicate is None else None


def frees_keys(stage: Stage, *, using: str) -> bool:
    """Whether rows of a table that references itself can move only when the removed ones are gone, and may do so.

    A removed row may hold, under a unique index, what another one shall have. The table's own foreign keys have to
    wait meanwhile; one that cannot, or that would do something when a row goes, forbids it.
    """
    catalogue = get_catalogue(using=using)
    moving = {column for reference in stage.plain for column in reference.columns}
    unique = any(index.unique and moving & {*index.columns} for index in catalogue.indexes(stage.table))
    itself = catalogue.name_of(stage.table)
    own = [key for key in catalogue.foreign_keys(stage.table) if key.target_table == itself]
    return unique and all(key.waits for key in own)


def _mark(stage: Stage, index: Index, generated: Generated, *, root: Stage, rows: Rows) -> None:
    """One index: rank the rows that share a key in the image; all but the first are removed."""
    k = numbered("integrity_k", len(index.keys))
    where = [SQL(f"({catalogued(index.predicate)})")] if index.predicate else []
    if index.nulls_distinct:
        where += [SQL(f"{name} IS NOT NULL") for name in k]
    keyed = compose(
        "SELECT i.*, {keys} FROM ({image}) AS i",
        keys=joined(", ", (f"{catalogued(key)} AS {name}" for key, name in zip(index.keys, k, strict=True))),
        image=_image(stage, index, generated, root=root, rows=rows),
    )
    rows.execute(
        compose(
            """
            UPDATE {stage} SET action = 'remove', kind = 'collision', {heirs}, fp = x.integrity_fp
            FROM (
                SELECT z.*, {firsts}, ROW_NUMBER() OVER w AS integrity_place
                FROM (SELECT * FROM ({keyed}) AS y {where}) AS z
                WINDOW w AS (PARTITION BY {k} ORDER BY integrity_moved, integrity_pos, {p})
            ) AS x
            WHERE x.integrity_place > 1 AND x.integrity_moved > 0 AND {same_stage}
            """,
            stage=stage.name,
            heirs=joined(", ", (f"{s} = x.integrity_{s}" for s in stage.s)),
            firsts=joined(
                ", ", (f"FIRST_VALUE({p}) OVER w AS integrity_{s}" for p, s in zip(_own(stage), stage.s, strict=True))
            ),
            keyed=keyed,
            where=SQL("WHERE " + " AND ".join(where) if where else ""),
            k=columns(k),
            p=columns(_own(stage)),
            same_stage=on(stage.name, stage.p, "x", _own(stage)),
        )
    )


def _own(stage: Stage) -> tuple[str, ...]:
    return numbered("integrity_p", len(stage.pk))


def _image(stage: Stage, index: Index, generated: Generated, *, root: Stage, rows: Rows) -> SQL:
    """The rows that may meet, with all columns as they will be, under the columns' own names.

    These are the staged rows that move, and the rows that stand still: all others of the table, of which those can
    matter that hold a key, or at least a reference, which a moving row will take. What the database computes is
    computed from the columns as they will be; where its expression is unknown, it stands as it is.
    """
    computed = {name: expression for name, expression in generated.items() if expression}
    names = (*stage.columns, *(name for name in generated if name not in computed))
    own = joined(", ", (compose("c.{a} AS {b}", a=a, b=b) for a, b in zip(stage.pk, _own(stage), strict=True)))
    moving = compose(
        """
        SELECT {own}, {values}, CASE WHEN {leads} THEN 2 WHEN {changes} THEN 1 ELSE 0 END AS integrity_moved,
               st.pos AS integrity_pos, {fp} AS integrity_fp
        FROM {stage} AS st JOIN {table} AS c ON {same} WHERE st.action = 'repoint'
        """,
        own=own,
        values=joined(
            ", ", (compose("{value} AS {name}", value=value_after(stage, name), name=name) for name in names)
        ),
        leads=_changes(r for r in stage.plain if r.target_table != stage.table),
        changes=_changes(stage.plain),
        fp=rows.fingerprint(stage.table, stage.columns, alias="c"),
        stage=stage.name,
        table=stage.table,
        same=on("c", stage.pk, "st", stage.p),
    )
    standing = compose(
        """
        SELECT {own}, {values}, 0, 0, 0 FROM ({reached}) AS a JOIN {table} AS c ON {same_row}
        LEFT JOIN {stage} AS st ON {same_stage} WHERE st.{p1} IS NULL AND {staying}
        """,
        own=own,
        values=columns(names, of="c"),
        reached=_reached(stage, index, plain_key(index, generated) if index.nulls_distinct else None),
        table=stage.table,
        same_row=on("c", stage.pk, "a", stage.pk),
        stage=stage.name,
        same_stage=on("st", stage.p, "c", stage.pk),
        p1=stage.p[0],
        staying=not_removed_by(root, stage),
    )
    return compose(
        "SELECT j.* {computed} FROM ({moving} UNION ALL {standing}) AS j",
        computed=joined("", (compose(", {e} AS {n}", e=catalogued(e), n=n) for n, e in computed.items())),
        moving=moving,
        standing=standing,
    )


def _changes(references: Iterable[StagedReference]) -> SQL:
    """Condition: one of these references of the stage ``st`` moves."""
    return joined(" OR ", ("1 = 0", *(compose("st.{new} IS NOT NULL", new=r.new[0]) for r in references)))


def _reached(stage: Stage, index: Index, key: Sequence[str] | None) -> SQL:
    """Primary keys of rows that a moving row may meet under an index: by ``key``, or by the references that move."""
    if key is not None:
        return _sharing(stage, index, key, [value_after(stage, column) for column in key])
    return joined(
        " UNION ",
        (_sharing(stage, index, r.columns, [compose("st.{new}", new=new) for new in r.new]) for r in stage.plain),
    )


def _sharing(stage: Stage, index: Index, names: Sequence[str], values: Sequence[SQL]) -> SQL:
    """Primary keys of the table's rows that hold, in these columns, what the index takes for a moving row's values."""
    collations = dict(zip(index.columns, index.collations, strict=False))
    k = numbered("k", len(names))
    return compose(
        "SELECT {pk} FROM (SELECT DISTINCT {values} FROM {stage} AS st JOIN {table} AS c ON {same} "
        "WHERE st.action = 'repoint') AS n JOIN {table} AS c ON {shared}",
        pk=columns(stage.pk, of="c"),
        values=joined(", ", (f"{value} AS {name}" for value, name in zip(values, k, strict=True))),
        stage=stage.name,
        table=stage.table,
        same=on("c", stage.pk, "st", stage.p),
        shared=joined(
            " AND ",
            (
                compose(f"c.{{name}} = n.{{k}}{_collate(collations.get(name))}", name=name, k=own)
                for name, own in zip(names, k, strict=True)
            ),
        ),
    )


def _collate(collation: str | None) -> str:
    return f" COLLATE {collation}" if collation else ""


def value_after(stage: Stage, column: str) -> SQL:
    """SQL for the value a column will have: ``c`` is the row now, ``st`` its stage."""
    news = [
        compose("st.{name}", name=name)
        for reference in stage.plain
        for own, name in zip(reference.columns, reference.new, strict=True)
        if own == column
    ]
    return coalesce(*news, compose("c.{column}", column=column))


def _follow_heirs(stage: Stage, rows: Rows) -> None:
    """Where a row's heir was itself removed under another index, its heir's heir stands for it."""
    while rows.execute(
        compose(
            """
            UPDATE {stage} SET {heirs} FROM {stage} AS w
            WHERE {stage}.action = 'remove' AND w.action = 'remove' AND {is_heir}
            """,
            stage=stage.name,
            heirs=joined(", ", (f"{s} = w.{s}" for s in stage.s)),
            is_heir=on("w", stage.p, stage.name, stage.s),
        )
    ):
        pass
