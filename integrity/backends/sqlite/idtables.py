"""What a repair of ids is told and what it tells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IdColumn:
    """A column that holds the primary key of another table."""

    name: str
    target: str
    target_column: str
    nullable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTable:
    """A table whose primary key is an id, with its references and the keys that are unique in it."""

    name: str
    pk: str
    references: tuple[IdColumn, ...]
    unique: tuple[tuple[str, ...], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that hold ids."""
        return (self.pk, *(reference.name for reference in self.references))


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRepair:
    """What was done to one table. ``lost`` counts rows in quarantine, ``emptied`` references that became NULL."""

    table: str
    columns: tuple[str, ...]
    rows: int
    new_ids: int
    restored: int
    emptied: int
    lost: int
