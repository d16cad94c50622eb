"""Which ids a numeric column has damaged, and which id each of them was.

A damaged reference can have been any id of its parent that turns into the same number. Of these candidates
those are struck out that contradict what the row still knows: the same parent's parent, and uniqueness. One that
is left is the id. Each id found may settle others, so this goes on until nothing changes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from integrity.backends.sql import SQL, columns, compose, joined
from integrity.backends.sqlite.idtables import IdColumn, IdTable
from integrity.backends.sqlite.rows import SQLiteRows

Number = float | int


@dataclass(kw_only=True)
class DamagedRow:
    """One row; ``values`` are its ids as stored, then as far as they are restored."""

    rowid: int
    values: dict[str, Any]
    damaged: set[str]
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a reference could not be restored, by column."""


def find_damage(table: IdTable, rows: SQLiteRows) -> list[DamagedRow]:
    """Return the rows with an id that is stored as a number."""
    found = rows.fetch(
        compose(
            "SELECT rowid, {ids} FROM {table} WHERE {damaged} ORDER BY rowid",
            ids=columns(table.columns),
            table=table.name,
            damaged=joined(" OR ", (compose("typeof({c}) IN ('real', 'integer')", c=c) for c in table.columns)),
        )
    )
    return [
        DamagedRow(
            rowid=rowid,
            values=dict(zip(table.columns, ids, strict=True)),
            damaged={c for c, value in zip(table.columns, ids, strict=True) if isinstance(value, float | int)},
        )
        for rowid, *ids in found
    ]


class Restorer:
    """Finds what the damaged references of one table were. ``renamed``: by table, number and row, the new ids."""

    def __init__(self, table: IdTable, rows: SQLiteRows, renamed: dict[str, list[tuple[Number, str]]]) -> None:
        self.table, self.rows = table, rows
        self.claimed: set[tuple[tuple[str, ...], tuple[Any, ...]]] = set()
        """Keys of rows that were restored before."""
        self.candidates = {r.name: self._candidates(r, renamed) for r in table.references}

    def restore(self, damaged: list[DamagedRow]) -> int:
        """Fill in every reference that has one candidate left; return how many, and note reasons for the others."""
        restored, progress = 0, True
        while progress:
            progress = False
            for row in damaged:
                for reference in self.table.references:
                    if reference.name in row.damaged:
                        left = self._left(row, reference)
                        if len(left) == 1:
                            self._settle(row, reference, left[0])
                            restored, progress = restored + 1, True
                        else:
                            row.reasons[reference.name] = _reason(reference, row.values[reference.name], left)
        return restored

    def _settle(self, row: DamagedRow, reference: IdColumn, identity: str) -> None:
        row.values[reference.name] = identity
        row.damaged.discard(reference.name)
        row.reasons.pop(reference.name, None)
        for key in self.table.unique:
            if reference.name in key and not row.damaged.intersection(key):
                self.claimed.add((key, tuple(row.values.get(name) for name in key)))

    def _candidates(self, reference: IdColumn, renamed: dict[str, list[tuple[Number, str]]]) -> dict[Number, list[str]]:
        """The parent's ids by the number that each turns into in a numeric column."""
        self.rows.execute(SQL("CREATE TEMPORARY TABLE integrity_numbers (id text, number numeric)"))
        self.rows.execute(
            compose(
                "INSERT INTO integrity_numbers SELECT {id}, {id} FROM {parent} WHERE {id} NOT GLOB '*[^0-9eE]*'",
                id=reference.target_column,
                parent=reference.target,
            )
        )
        by_number: dict[Number, list[str]] = defaultdict(list)
        for identity, number in self.rows.fetch(
            SQL("SELECT id, number FROM integrity_numbers WHERE typeof(number) <> 'text'")
        ):
            by_number[number].append(identity)
        self.rows.execute(SQL("DROP TABLE integrity_numbers"))
        for number, identity in renamed.get(reference.target, ()):
            by_number[number].append(identity)
        return by_number

    def _left(self, row: DamagedRow, reference: IdColumn) -> list[str]:
        found = self.candidates[reference.name].get(row.values[reference.name], [])
        return [one for one in found if self._agrees(row, reference, one) and not self._taken(row, reference, one)]

    def _agrees(self, row: DamagedRow, reference: IdColumn, candidate: str) -> bool:
        """Whether row and candidate have the same parent wherever both name one by the same column."""
        theirs = self.rows.fetch(SQL('SELECT "from", "table" FROM pragma_foreign_key_list(%s)'), (reference.target,))
        for own in self.table.references:
            if own.name == reference.name or own.name in row.damaged:
                continue
            for column, target in theirs:
                # The same column name: that a cluster's medoid is an embedding too says nothing of its members.
                if (column.lower(), target.lower()) == (own.name.lower(), own.target.lower()):
                    same = compose(
                        "SELECT 1 FROM {parent} WHERE {id} = %s AND {column} <> %s",
                        parent=reference.target,
                        id=reference.target_column,
                        column=column,
                    )
                    if self.rows.fetch(same, (candidate, row.values[own.name])):
                        return False
        return True

    def _taken(self, row: DamagedRow, reference: IdColumn, candidate: str) -> bool:
        """Whether another row has the key that the candidate would give this one."""
        wanted = {**row.values, reference.name: candidate}
        for key in self.table.unique:
            if reference.name not in key or any(name in row.damaged for name in key if name != reference.name):
                continue
            stored = compose(
                "SELECT 1 FROM {table} WHERE {same} AND typeof({c}) = 'text' AND rowid <> %s",
                table=self.table.name,
                c=reference.name,
                same=joined(" AND ", (compose("{c} = %s", c=name) for name in key)),
            )
            if self.rows.fetch(stored, (*(wanted[name] for name in key), row.rowid)):
                return True
            if (key, tuple(wanted[name] for name in key)) in self.claimed:
                return True
        return False


def _reason(reference: IdColumn, value: Number, left: list[str]) -> str:
    what = f"{reference.name} was stored as the number {value}"
    if not left:
        return f"{what}, and no row of {reference.target} is left that it can have been"
    return f"{what}, and it can have been {len(left)} rows of {reference.target}: {', '.join(sorted(left)[:3])}"
