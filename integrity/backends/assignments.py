"""A staged set of assignments (member, group number) and the statements that turn it into rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from integrity.backends.bulk import Bulk
from integrity.backends.sql import SQL, compose

_STAGE = "integrity_assignments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """The first assignment of a kind that cannot be stored: its place in the input, and the member's id."""

    position: int
    member: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignments:
    """Tables and columns: an assignment links a member and a group, both within one parent."""

    bulk: Bulk
    table: str
    pk: str
    member: str
    parent: str
    group: str
    member_table: str
    member_pk: str
    group_table: str
    group_pk: str
    group_parent: str
    group_number: str

    @property
    def _names(self) -> dict[str, str]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "bulk"}

    def stage(self, assignments: Iterable[tuple[int, Any, int]]) -> None:
        """Stream (position, member, number) into a temporary table."""
        like = """
            SELECT CAST(0 AS bigint) AS position, {member}, CAST(0 AS bigint) AS number FROM {table}
        """
        self.bulk.create_stage(_STAGE, compose(like, member=self.member, table=self.table))
        self.bulk.fill(_STAGE, assignments)

    def drop(self) -> None:
        """Drop the temporary table."""
        self.bulk.drop_stage(_STAGE)

    def sizes(self) -> dict[int, int]:
        """How many members each group number has."""
        sql = compose("SELECT number, COUNT(*) FROM {stage} GROUP BY number", stage=_STAGE)
        pairs = self.bulk.rows.fetch(sql)
        return {int(number): int(size) for number, size in pairs}

    def insert(self, *, parent: Any) -> int:
        """Write all assignments whose group is there, in the members' order; return how many. Ids are new."""
        return self.bulk.rows.execute(
            compose(
                """
                INSERT INTO {table} ({pk}, {member}, {parent}, {group})
                SELECT {new_ids}, s.{member}, g.{group_parent}, g.{group_pk}
                FROM {stage} AS s JOIN {group_table} AS g ON g.{group_parent} = %s AND g.{group_number} = s.number
                ORDER BY s.{member}
                """,
                new_ids=self.bulk.new_ids(order=compose("s.{member}", member=self.member)),
                stage=_STAGE,
                **self._names,
            ),
            (parent,),
        )

    def repeated(self) -> Mistake | None:
        """A member that is assigned twice."""
        return self._first(
            compose(
                """
                SELECT MAX(position), {member} FROM {stage} GROUP BY {member} HAVING COUNT(*) > 1
                ORDER BY 1 LIMIT 1
                """,
                stage=_STAGE,
                **self._names,
            )
        )

    def unknown_member(self) -> Mistake | None:
        """A member that is not in its table."""
        return self._first(
            compose(
                """
                SELECT s.position, s.{member} FROM {stage} AS s
                WHERE NOT EXISTS (SELECT 1 FROM {member_table} AS m WHERE m.{member_pk} = s.{member})
                ORDER BY s.position LIMIT 1
                """,
                stage=_STAGE,
                **self._names,
            )
        )

    def _first(self, sql: SQL) -> Mistake | None:
        found = self.bulk.rows.fetch(sql)
        return Mistake(position=found[0][0], member=found[0][1]) if found else None
