"""What an upsert is asked to write, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from integrity.backends.sql import SQL, compose, joined

POSITION = "integrity_n"
"""Column of a source: the row's place in its batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsertPlan:
    """What stays the same from one batch to the next. Expressions are unqualified; ``overwrite`` names the table."""

    table: str
    pk: tuple[str, ...]
    columns: tuple[str, ...]
    """Columns that the rows bring, in the order of their values."""
    key: tuple[SQL, ...]
    """The constraint's columns and expressions."""
    condition: SQL | None
    """The predicate of a partial unique index."""
    nulls_distinct: bool
    may_lack_key: bool
    """Whether a row can be outside the constraint: a NULL in its key, or a condition that it does not meet."""
    compared: tuple[str, ...]
    """Columns that an existing row gets, if one of them differs."""
    coalesced: frozenset[str]
    """Those of them in which a NULL that is brought leaves the existing value."""
    kept: frozenset[str]
    """Columns that the rows bring for a new row only."""
    touched: tuple[str, ...]
    """Columns that it then gets too."""
    newer: str | None
    overwrite: SQL | None
    """What an existing row must be like to be written."""

    @property
    def k(self) -> tuple[str, ...]:
        """Names for the key's parts in a sub-select."""
        return tuple(f"integrity_k{n}" for n in range(1, len(self.key) + 1))

    def given(self, column: str) -> SQL:
        """What an existing row gets in a column."""
        template = "COALESCE(excluded.{c}, {t}.{c})" if column in self.coalesced else "excluded.{c}"
        return compose(template, c=column, t=self.table)

    @property
    def may_fold(self) -> bool:
        """Whether one row can say what several of one key would come to, without knowing the row that is there."""
        return self.overwrite is None and not (self.newer and self.coalesced)

    def folded(self, column: str) -> SQL:
        """What the rows of one key come to in a column, for the row of them that wins: as if they came in turn."""
        if column in self.kept:
            order = SQL(POSITION)
        elif column in self.coalesced:
            order = compose("{c} IS NULL, {n} DESC", c=column, n=POSITION)
        else:
            return compose("{c}", c=column)
        return compose(
            "FIRST_VALUE({c}) OVER (PARTITION BY {key} ORDER BY {order}) AS {c}",
            c=column,
            key=joined(", ", self.key),
            order=order,
        )

    @property
    def newest_first(self) -> SQL:
        """How the rows of one key are ordered within a batch. Without a clock the last one wins, as it would alone."""
        if self.newer is None:
            return compose("{n} DESC", n=POSITION)
        return compose("{newer} DESC NULLS LAST, {n}", newer=self.newer, n=POSITION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A row of a batch that points at a row that is not there."""

    position: int
    column: str


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Primary keys, as tuples of database values, by what became of the rows of one batch."""

    inserted: list[tuple[Any, ...]] = field(default_factory=list)
    updated: list[tuple[Any, ...]] = field(default_factory=list)
    unchanged: list[tuple[Any, ...]] = field(default_factory=list)
    stale: list[tuple[Any, ...]] = field(default_factory=list)
    folded: list[tuple[Any, ...]] = field(default_factory=list)
    """One entry for each row that another row of the batch stood in for: the key of the row that both mean."""

    def add(self, later: Outcome) -> None:
        """Add what became of other rows of the batch."""
        for name in (each.name for each in fields(self)):
            getattr(self, name).extend(getattr(later, name))

    @property
    def total(self) -> int:
        """How many rows are accounted for."""
        return len(self.inserted) + len(self.updated) + len(self.unchanged) + len(self.stale) + len(self.folded)
