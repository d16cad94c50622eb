"""The table in which an undo notes what it cannot bring back, and why; it goes when the undo ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, compose, joined
from integrity.dedupe.results import Refusal

_NAMED: Final = 5
"""Rows in the way that are named, of those with one reason."""


@dataclass(frozen=True, kw_only=True)
class UndoRefusals:
    """Units and groups with a reason, and the primary key of the row that is in the way where it is a row's fault."""

    name: str
    rows: Rows

    def create(self) -> None:
        self.rows.execute(
            compose("CREATE TABLE {name} (unit bigint, grp bigint, reason text, pk text)", name=self.name)
        )
        self.rows.execute(compose("CREATE INDEX {index} ON {name} (unit)", index=f"{self.name}_u", name=self.name))

    def drop(self) -> None:
        self.rows.drop(self.name)

    def note(self, unit: int, group: int, reason: str) -> None:
        values = (unit, group, reason)
        self.rows.execute(compose("INSERT INTO {name} (unit, grp, reason) VALUES (%s, %s, %s)", name=self.name), values)

    def summary(self) -> tuple[Refusal, ...]:
        """Each reason with its number of groups and the first rows that are in the way, most frequent first."""
        query = compose(
            "SELECT reason, COUNT(DISTINCT grp) FROM {name} GROUP BY reason ORDER BY 2 DESC, 1", name=self.name
        )
        return tuple(
            Refusal(reason=reason, groups=int(groups), example=self._examples(reason))
            for reason, groups in self.rows.fetch(query)
        )

    def _examples(self, reason: str) -> str:
        """The first groups with the rows that are in the way, or the first group where it is no row's fault."""
        query = compose(
            "SELECT DISTINCT grp, pk FROM {name} WHERE reason = %s ORDER BY grp, pk LIMIT %s", name=self.name
        )
        found = self.rows.fetch(query, (reason, _NAMED))
        return "; ".join(f"row {pk} in group {group}" for group, pk in found if pk) or f"group {found[0][0]}"


def in_words(alias: str, pk: Sequence[str]) -> SQL:
    """An expression: the primary key in these columns, as text."""
    return joined(" || ', ' || ", (compose("CAST({q}.{column} AS text)", q=alias, column=column) for column in pk))
