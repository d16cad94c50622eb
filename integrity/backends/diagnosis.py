"""What the diagnosis of an error asks of rows: few, by key, and how their values are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import DataError, connections, transaction

from integrity.backends import get_rows
from integrity.backends.sql import SQL, columns, compose, joined

_SHOWN = SQL("CASE WHEN {c} IN (9e999, -9e999) THEN 'Inf' ELSE typeof({c}) END")
_COMPARED = {"postgresql": "{name} = CAST(%s AS {kind})", "sqlite": "{name} IN (%s, REPLACE(%s, '-', ''))"}


def storage_classes(*, table: str, name: str, using: str) -> dict[str, int]:
    """Count a column's values by storage class, Inf apart; empty where a column has one type for all (PostgreSQL)."""
    if connections[using].vendor != "sqlite":
        return {}
    shown = compose(_SHOWN, c=name)
    found = get_rows(using=using).fetch(
        compose("SELECT {shown}, COUNT(*) FROM {table} GROUP BY 1", shown=shown, table=table)
    )
    return {str(kind): int(count) for kind, count in found}


def rows_with(
    *, table: str, pk: Sequence[str], key: Mapping[str, str], types: Mapping[str, str], limit: int, using: str
) -> list[tuple[Any, ...]]:
    """Return the primary keys of rows whose columns have these values, given as texts; the key's index serves it."""
    template = _COMPARED[connections[using].vendor]
    tests = (compose(template, name=name, kind=SQL(types[name].replace("%", "%%"))) for name in key)
    values = [value for value in key.values() for _ in range(template.count("%s"))]
    sql = compose(
        "SELECT {pk} FROM {table} WHERE {tests} ORDER BY {pk} LIMIT {limit}",
        pk=columns(pk),
        table=table,
        tests=joined(" AND ", tests),
        limit=SQL(int(limit)),
    )
    try:
        with transaction.atomic(using=using):
            return get_rows(using=using).fetch(sql, values)
    except DataError:  # what stands in the text is no value of the column: an abbreviation, say
        return []
