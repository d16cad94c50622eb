"""Ids inside arrays and JSON documents, as PostgreSQL finds and replaces them."""

from __future__ import annotations

from collections.abc import Sequence

from integrity.backends.sql import SQL, compose


def holds(value: SQL, *, inside: str, path: Sequence[str], id: SQL) -> SQL:
    """Condition: the array, or the place in the document, holds the id (in JSON as a string or as a number)."""
    if inside == "array":
        return SQL(f"{id} = ANY ({value})")
    place = _place(value, path)
    return compose(
        """
        CASE jsonb_typeof({place}) WHEN 'array' THEN EXISTS (
            SELECT 1 FROM jsonb_array_elements_text({place}) AS e (v) WHERE e.v = {id}::text
        ) ELSE ({place} #>> '{{}}') = {id}::text END
        """,
        place=place,
        id=id,
    )


def replaced(value: SQL, *, inside: str, path: Sequence[str], pairs: SQL) -> SQL:
    """The value with each id ``p1`` of ``pairs`` replaced by its ``s1``, unless that stands there already.

    NULL for an array of several dimensions, or one that is not numbered from 1: it would lose its shape.
    """
    if inside == "array":
        return compose(
            """
            (CASE WHEN array_ndims({value}) = 1 AND array_lower({value}, 1) = 1 THEN (
                SELECT array_agg(x.v ORDER BY x.n) FROM (
                SELECT b.*, ROW_NUMBER() OVER (PARTITION BY b.v ORDER BY b.mapped, b.n) AS place FROM (
                    SELECT COALESCE(m.s1, e.v) AS v, e.n, m.s1 IS NOT NULL AS mapped
                    FROM unnest({value}) WITH ORDINALITY AS e (v, n) LEFT JOIN {pairs} AS m ON m.p1 = e.v
                ) AS b
            ) AS x WHERE NOT x.mapped OR x.place = 1) END)
            """,
            value=value,
            pairs=pairs,
        )
    place = _place(value, path)
    return compose(
        """
        (CASE jsonb_typeof({place}) WHEN 'array' THEN {in_array} ELSE {in_place} END)
        """,
        place=place,
        in_array=_put(value, path, _array(place, pairs)),
        in_place=_put(
            value,
            path,
            compose(
                "(SELECT {new} FROM {pairs} AS m WHERE m.p1::text = ({place} #>> '{{}}'))",
                new=_as_spelt(place),
                pairs=pairs,
                place=place,
            ),
        ),
    )


def _array(place: SQL, pairs: SQL) -> SQL:
    return compose(
        """
        (SELECT jsonb_agg(x.v ORDER BY x.n) FROM (
            SELECT b.*, ROW_NUMBER() OVER (PARTITION BY b.v ORDER BY b.mapped, b.n) AS place FROM (
                SELECT CASE WHEN m.s1 IS NULL THEN e.v ELSE {new} END AS v, e.n, m.s1 IS NOT NULL AS mapped
                FROM jsonb_array_elements({place}) WITH ORDINALITY AS e (v, n)
                LEFT JOIN {pairs} AS m ON m.p1::text = (e.v #>> '{{}}')
            ) AS b
        ) AS x WHERE NOT x.mapped OR x.place = 1)
        """,
        new=_as_spelt(SQL("e.v")),
        place=place,
        pairs=pairs,
    )


def _as_spelt(old: SQL) -> SQL:
    """The survivor's id as a string where the old id was one, else as a number."""
    return SQL(f"CASE jsonb_typeof({old}) WHEN 'string' THEN to_jsonb(m.s1::text) ELSE to_jsonb(m.s1) END")


def _place(value: SQL, path: Sequence[str]) -> SQL:
    return SQL(f"({value} #> {_literal(path)})") if path else SQL(f"({value})")


def _put(value: SQL, path: Sequence[str], new: SQL) -> SQL:
    return SQL(f"jsonb_set({value}, {_literal(path)}, {new})") if path else new


def _literal(path: Sequence[str]) -> str:
    keys = ", ".join("'" + key.replace("'", "''").replace("%", "%%") + "'" for key in path)
    return f"ARRAY[{keys}]::text[]"
