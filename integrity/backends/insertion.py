"""Insert one row, or get the one that is there: one statement, which no other writer can come between."""

from __future__ import annotations

from collections.abc import Sequence

from integrity.backends.sql import SQL, compose, identifier, joined


def insert_or_get(*, table: str, columns: Sequence[str], key: str) -> SQL:
    """Return one statement that inserts a row, or leaves the one with its key, and returns whichever is there.

    The row that is there is written over with its own key: RETURNING returns none that was not written.
    """
    names = joined(", ", map(identifier, columns))
    return compose(
        """
        INSERT INTO {table} ({names}) VALUES ({marks})
        ON CONFLICT ({key}) DO UPDATE SET {key} = excluded.{key} RETURNING {names}
        """,
        table=table,
        names=names,
        marks=joined(", ", ["%s"] * len(columns)),
        key=key,
    )
