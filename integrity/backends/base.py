"""What the rest of the house may ask of a database, whichever it is.

``Catalogue`` answers questions about what is there (read-only, no lock beyond ACCESS SHARE on the catalogue); what the
engine does to rows is ``Rows``. A table is named as Django names it in
``Meta.db_table``; a table outside the search path is written ``schema"."table``, the form Django quotes right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

VIEW: Final = "is a view: give the rule a model of the table that holds the rows."
"""The hindrance that both databases know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column, its type in the database's own spelling (``character varying(255)``, ``CHAR(32)``)."""

    name: str
    type: str
    nullable: bool
    default: str | None = None
    generated: bool = False
    """Computed by the database from other columns: it can be read and never written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index; ``columns`` holds None where an expression stands instead of a column."""

    name: str
    columns: tuple[str | None, ...]
    unique: bool
    keys: tuple[str, ...] = ()
    """Each part of the key as SQL text: a quoted column, or an expression on bare columns."""
    collations: tuple[str, ...] = ()
    """By what each part of the key is compared, where every column has a collation; empty where types decide."""
    primary: bool = False
    valid: bool = True
    """False for the leftover of a concurrent build that failed: it may enforce nothing."""
    predicate: str | None = None
    constraint: bool = False
    """True where a constraint (UNIQUE, PRIMARY KEY) owns the index."""
    nulls_distinct: bool = True
    deferrable: bool = False
    definition: str = ""
    """The statement that would make it again; "" for SQLite's automatic indexes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """One foreign key that the database itself declares."""

    name: str | None
    table: str
    columns: tuple[str, ...]
    target_table: str
    target_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    deferrable: bool = False
    validated: bool = True
    plain: bool = True
    """False for what PostgreSQL 18 does not enforce (NOT ENFORCED), and compares by containment (PERIOD)."""

    @property
    def waits(self) -> bool:
        """Whether its check can wait for the end of a transaction, and a row that goes sets nothing else off."""
        return self.deferrable and self.on_delete == "NO ACTION"


class Catalogue(Protocol):
    """Read-only questions about the tables of one database."""

    def tables(self) -> frozenset[str]:
        """Names of all ordinary and partitioned tables; on PostgreSQL, those on the search path."""
        ...

    def name_of(self, table: str) -> str:
        """The name that other answers use for a table: as the database spells it, without a schema that it searches."""
        ...

    def columns(self, table: str) -> tuple[Column, ...]:
        """Columns in table order; empty where the table is absent."""
        ...

    def primary_key(self, table: str) -> tuple[str, ...]:
        """Columns of the primary key in key order; empty where there is none."""
        ...

    def indexes(self, table: str) -> tuple[Index, ...]:
        """Every index of the table, those behind constraints included, ordered by name."""
        ...

    def foreign_keys(self, table: str) -> tuple[ForeignKey, ...]:
        """Foreign keys that the table declares."""
        ...

    def referencing(self, table: str) -> tuple[ForeignKey, ...]:
        """Foreign keys, of any table in the database, that point at the table."""
        ...

    def triggers(self, table: str) -> tuple[str, ...]:
        """Names of the triggers that somebody made on the table or one of its partitions, and that fire."""
        ...

    def hindrance(self, table: str) -> str:
        """What keeps statements on a table from treating its own rows and nothing else; "" where nothing does.

        It continues a sentence that begins with the table, and says what to do.
        """
        ...

    def row_estimate(self, table: str) -> int:
        """About how many rows the table holds: the planner's figure, or a count where it has none."""
        ...


def has_index_on(indexes: Sequence[Index], columns: Sequence[str]) -> bool:
    """Whether a look-up by these columns can use an index: one that begins with them, in any order."""
    wanted = set(columns)
    return any(
        set(index.columns[: len(wanted)]) == wanted for index in indexes if index.valid and index.predicate is None
    )


def collations_of(indexes: Sequence[Index], columns: Sequence[str]) -> tuple[str, ...]:
    """The collation by which each of these columns is unique: a constraint's, before that of a mere index."""
    found: dict[str | None, str] = {}
    for index in sorted(indexes, key=lambda index: index.constraint):
        if index.unique and set(index.columns) == set(columns):
            found.update(zip(index.columns, index.collations, strict=False))
    return tuple(found.get(column, "BINARY") for column in columns)
