"""What an audit asks of rows: read-only, one pass over a table each, and never a change to the session that stays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, columns, compose, joined
from integrity.backends.statements import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many rows a query has, and the values of its first one; empty where there is none."""

    rows: int
    example: tuple[str, ...] = ()


class AuditQueries(ABC):
    """Questions on one connection. Nothing here takes more than ACCESS SHARE."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    @abstractmethod
    def read_only(self) -> AbstractContextManager[None]:
        """Let the database refuse every change inside the block, and again allow what it allowed before.

        Rows that a policy hides from this role are an error of the database inside it.
        """

    def count(self, query: Query) -> Counted:
        """Count a query's rows and show the first one in the order of its columns."""
        found = self.rows.value(compose("SELECT COUNT(*) FROM ({query}) AS q", query=query.sql), query.params)
        if not found:
            return Counted(rows=0)
        first = self.rows.fetch(
            compose("SELECT * FROM ({query}) AS q ORDER BY 1 LIMIT 1", query=query.sql), query.params
        )
        return Counted(rows=int(found), example=tuple(map(str, first[0])))

    def orphans(
        self, *, table: str, pk: Sequence[str], names: Sequence[str], target: str, target_names: Sequence[str]
    ) -> Counted:
        """Count the rows whose columns ``names`` hold a key that no row of the target has.

        A row with a NULL among them refers to nothing. The example is the row's primary key, then the lost key.
        """
        shown = joined(", ", (f"{columns([name], of='c')} AS v{n}" for n, name in enumerate((*pk, *names), 1)))
        query = compose(
            """
            SELECT {shown} FROM {table} AS c
            WHERE {known} AND NOT EXISTS (SELECT 1 FROM {target} AS p WHERE {same})
            """,
            shown=shown,
            table=table,
            known=joined(" AND ", (f"{columns([name], of='c')} IS NOT NULL" for name in names)),
            target=target,
            same=joined(
                " AND ",
                (
                    self.same(table=table, name=name, target=target, target_name=target_name)
                    for name, target_name in zip(names, target_names, strict=True)
                ),
            ),
        )
        return self.count(Query(sql=query))

    @abstractmethod
    def same(self, *, table: str, name: str, target: str, target_name: str) -> SQL:
        """Condition: a column of ``p`` (the target) and one of ``c`` hold the same key."""

    def converts_ids(self, declared: str) -> bool:
        """Whether a column of this declared type changes some ids, hexadecimal digits, on their way in."""
        return False

    def converted_ids(self, *, table: str, name: str) -> int:
        """Count the ids that such a column has changed."""
        return 0
