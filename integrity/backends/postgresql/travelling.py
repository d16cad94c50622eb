"""The types in which rows travel to PostgreSQL, and those that they are cast to there.

A parameter has the type of its Python value, and the statement casts it to the column's. What is staged by COPY is
staged in that same type and cast by the same rules, so that it makes no difference how many rows there are. Staged in
the column's own type, it would: binary COPY takes the low bits of an integer that is too large, and text COPY does not
look at the time zone of a moment for a column without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from integrity.backends.sql import SQL

_AS_PARAMETER: dict[type, SQL] = {
    bool: SQL("boolean"),
    int: SQL("bigint"),
    float: SQL("double precision"),
    Decimal: SQL("numeric"),
    str: SQL("text"),
    UUID: SQL("uuid"),
    Jsonb: SQL("jsonb"),
    datetime: SQL("timestamp with time zone"),
    date: SQL("date"),
}
_HUGE, _NAIVE = SQL("numeric"), SQL("timestamp without time zone")

BINARY = frozenset((*_AS_PARAMETER.values(), _NAIVE))
"""Types whose values psycopg sends in PostgreSQL's own form; that takes less than half of the time of text."""

CAST_TYPES = SQL("""
    WITH RECURSIVE found (name, oid, modifier, collation_oid) AS (
        SELECT attname, atttypid, atttypmod, attcollation FROM pg_catalog.pg_attribute
        WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT f.name, d.typbasetype, d.typtypmod, f.collation_oid
        FROM found AS f JOIN pg_catalog.pg_type AS d ON d.oid = f.oid AND d.typtype = 'd'
    )
    SELECT f.name, CASE
        WHEN t.typname IN ('vector', 'halfvec') THEN 'double precision[]'
        WHEN COALESCE(e.typcategory, t.typcategory) IN ('S', 'V') THEN format_type(f.oid, -1)
        ELSE format_type(f.oid, f.modifier)
    END, COALESCE(' COLLATE ' || quote_ident(s.nspname) || '.' || quote_ident(l.collname), '')
    FROM found AS f
    JOIN pg_catalog.pg_type AS t ON t.oid = f.oid AND t.typtype <> 'd'
    LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
    LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = f.collation_oid AND l.oid <> t.typcollation
    LEFT JOIN pg_catalog.pg_namespace AS s ON s.oid = l.collnamespace
""")
"""What a value is cast to on its way to each column of a table: the column's type, of a domain that under it.

Texts and bit strings lose their length: a cast would cut what is too long, where storing it is an error. pgvector's
types are assigned from arrays. Last comes the column's collation where its type has another: rows of one key are to be
the same here as in the table.
"""


def stage_type(values: Sequence[Any], *, cast: SQL) -> SQL | None:
    """Return the type to stage a column's values in; None where they have none in common, or COPY cannot send them."""
    kinds = {_known(kind) for kind in set(map(type, values)) if kind is not type(None)} or {str}
    if len(kinds) > 1:
        return None
    (kind,) = kinds
    if kind is None:
        return None if cast in BINARY else cast
    if kind is datetime:
        return _moments(values)
    if kind is int and not _in_64_bits(values):
        return _HUGE
    return _AS_PARAMETER[kind]


def _known(kind: type) -> type | None:
    return next((base for base in kind.__mro__ if base in _AS_PARAMETER), None)


def _moments(values: Sequence[datetime | None]) -> SQL | None:
    naive = {value.tzinfo is None for value in values if value is not None}
    if len(naive) > 1:
        return None
    return _NAIVE if True in naive else _AS_PARAMETER[datetime]


def _in_64_bits(values: Sequence[int | None]) -> bool:
    some = list(filter(None, values))
    return not some or (min(some) >= -(2**63) and max(some) < 2**63)
