"""Maps: for each row that goes, or whose key changes, the values that referenced it and those that shall."""

from __future__ import annotations

from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, coalesce, compose, joined, on
from integrity.dedupe.pointing import sought, written
from integrity.dedupe.stages import Stage, StagedReference


def key_changes(stage: Stage, target_columns: tuple[str, ...]) -> tuple[str, ...]:
    """The stage's columns with new values of columns that others reference the row by.

    A one-to-one that is the primary key, as in multi-table inheritance, changes the row's own key when it moves.
    """
    return tuple(
        new
        for reference in stage.plain
        for column, new in zip(reference.columns, reference.new, strict=True)
        if column in target_columns
    )


def map_of(reference: StagedReference, source: Stage, rows: Rows) -> SQL:
    """A subquery with the group, ``pos``, and the reference's old and new columns, of all rows of the source."""
    changes = key_changes(source, reference.target_columns)
    if reference.target_columns == source.pk and not changes:
        return _of_removed(reference, source, rows)
    return _of_all(reference, source, rows)


def _of_removed(reference: StagedReference, source: Stage, rows: Rows) -> SQL:
    """The common case: rows are referenced by their primary key, which the stage holds."""
    return compose(
        """
        (SELECT {source}.grp AS {grp}, {source}.pos AS pos, {values}
         FROM {source} WHERE {source}.action = 'remove' {apart})
        """,
        grp=reference.grp,
        values=_named(
            reference,
            (*sought(reference, source.name, source.p, rows), *written(reference, source.name, source.s, rows)),
        ),
        source=source.name,
        apart=_apart(reference, rows),
    )


def _of_all(reference: StagedReference, source: Stage, rows: Rows) -> SQL:
    """The general case: other columns than the primary key, and keys that change without the row going.

    A row that goes is stood for by its heir, under the key that the heir will have.
    """
    changes = key_changes(source, reference.target_columns)
    moved = joined(" OR ", (compose("src.{new} IS NOT NULL", new=new) for new in changes))
    inner = compose(
        """
        (SELECT src.grp, src.pos, {olds}, {news}
         FROM {source} AS src JOIN {table} AS before ON {is_old} LEFT JOIN {table} AS after ON {is_heir}
         LEFT JOIN {source} AS heir ON {is_staged_heir} AND heir.action = 'repoint'
         WHERE src.action = 'remove' {moved})
        """,
        olds=joined(
            ", ",
            (compose("before.{c} AS {a}", c=c, a=f"before{n}") for n, c in enumerate(reference.target_columns, 1)),
        ),
        news=joined(
            ", ",
            (
                compose("{value} AS {a}", value=_final(source, c), a=f"after{n}")
                for n, c in enumerate(reference.target_columns, 1)
            ),
        ),
        source=source.name,
        table=source.table,
        is_old=on("before", source.pk, "src", source.p),
        is_heir=on("after", source.pk, "src", source.s),
        is_staged_heir=on("heir", source.p, "src", source.s),
        moved=SQL(f"OR (src.action = 'repoint' AND ({moved}))" if changes else ""),
    )
    count = len(reference.target_columns)
    return compose(
        "(SELECT k.grp AS {grp}, k.pos AS pos, {values} FROM {inner} AS k {apart})",
        grp=reference.grp,
        values=_named(
            reference,
            (
                *sought(reference, "k", (f"before{n}" for n in range(1, count + 1)), rows),
                *written(reference, "k", (f"after{n}" for n in range(1, count + 1)), rows),
            ),
        ),
        inner=inner,
        apart=_apart(reference, rows),
    )


def _apart(reference: StagedReference, rows: Rows) -> SQL:
    """Converted values find an index, which SQLite makes for the query, only in a subquery that stays one."""
    return rows.apart if reference.types or reference.dashed else SQL("")


def _final(source: Stage, column: str) -> SQL:
    """The value by which the row, or its heir, will be referenced."""
    news = key_changes(source, (column,))
    of_heir = coalesce(*(compose("heir.{new}", new=new) for new in news), compose("after.{column}", column=column))
    of_itself = coalesce(*(compose("src.{new}", new=new) for new in news), compose("before.{column}", column=column))
    return SQL(f"CASE WHEN src.action = 'remove' THEN {of_heir} ELSE {of_itself} END")


def _named(reference: StagedReference, values: tuple[SQL, ...]) -> SQL:
    names = (*reference.old, *reference.new)
    return joined(", ", (compose("{v} AS {n}", v=v, n=n) for v, n in zip(values, names, strict=True)))
