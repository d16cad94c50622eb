"""Ids inside JSON documents (arrays are JSON as well here), as SQLite finds and replaces them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from integrity.backends.sql import SQL, compose


def holds(value: SQL, *, path: Sequence[str], id: SQL, dashed: Callable[[SQL], SQL]) -> SQL:
    """Condition: the place in the document is the id, or an array that holds it, as stored or as UUIDs are written."""
    return compose(
        "EXISTS (SELECT 1 FROM json_each({value}, {path}) AS e WHERE e.value = {id} OR e.value = {dashed})",
        value=value,
        path=_path(path),
        id=id,
        dashed=dashed(id),
    )


def replaced(value: SQL, *, path: Sequence[str], pairs: SQL, dashed: Callable[[SQL], SQL]) -> SQL:
    """The document with each id ``p1`` of ``pairs`` replaced by its ``s1``, unless that stands there already."""
    new = compose(
        "CASE WHEN e.value = {dashed_old} THEN {dashed_new} ELSE m.s1 END",
        dashed_old=dashed(SQL("m.p1")),
        dashed_new=dashed(SQL("m.s1")),
    )
    elements = compose(
        """
        SELECT b.v, ROW_NUMBER() OVER (PARTITION BY b.v ORDER BY b.mapped, b.n) AS place, b.mapped, b.n FROM (
            SELECT CASE WHEN m.s1 IS NOT NULL THEN json_quote({new}) ELSE {unchanged} END AS v,
                   m.s1 IS NOT NULL AS mapped, e.id AS n
            FROM json_each({value}, {path}) AS e LEFT JOIN {pairs} AS m ON e.value = m.p1 OR e.value = {dashed_old}
        ) AS b
        """,
        new=new,
        # json_each gives values without their JSON form: 1 for true, text for an inner object.
        unchanged=SQL(
            "CASE e.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'null' THEN 'null' "
            "WHEN 'object' THEN e.value WHEN 'array' THEN e.value ELSE json_quote(e.value) END"
        ),
        value=value,
        path=_path(path),
        pairs=pairs,
        dashed_old=dashed(SQL("m.p1")),
    )
    kept = compose(
        "(SELECT group_concat(x.v, ',') FROM (SELECT * FROM ({elements}) AS y WHERE NOT y.mapped OR y.place = 1 "
        "ORDER BY y.n) AS x)",
        elements=elements,
    )
    return compose(
        "json_set({value}, {path}, json(CASE json_type({value}, {path}) WHEN 'array' THEN '[' || {kept} || ']' "
        "ELSE {kept} END))",
        value=value,
        path=_path(path),
        kept=kept,
    )


def _path(keys: Sequence[str]) -> SQL:
    text = "".join(f'."{key}"' for key in keys)
    return SQL("'$" + text.replace("'", "''").replace("%", "%%") + "'")
