"""A duplicate group as people look at it: its rows side by side, what differs, what references each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from integrity.backends import get_rows
from integrity.backends.sql import columns, compose, identifier, joined
from integrity.dedupe.abbreviation import abbreviate
from integrity.dedupe.export import ValueChange
from integrity.dedupe.pointing import points_at
from integrity.dedupe.references import Reference
from integrity.dedupe.target import Target
from integrity.dedupe.vectors import cosine_distance, vector_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceCount:
    """How many rows of one table point at each member, in the members' order.

    ``counts`` is None where counting would read the whole table: no index helps, or ids stand inside documents.
    """

    table: str
    columns: tuple[str, ...]
    counts: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One row of a group. Values are abbreviated, in the order of the group's columns; None for NULL."""

    pk: str
    kind: str
    """``survivor``, ``identical``, ``incomplete`` or ``conflicting``."""
    values: tuple[str | None, ...]
    distance: float | None
    """Cosine distance (0 to 2) of its vector to the survivor's; None where there is nothing to compare."""
    changed: bool
    """Whether the row is no longer as it was when the plan was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The rows of one key side by side, the one that stays first."""

    rule: str
    database: str
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    differing: frozenset[str]
    """Columns, but for the primary key, whose values are not the same in all members."""
    members: tuple[Member, ...]
    size: int
    """How many rows the group has; ``members`` are the first of them."""
    content: tuple[str, ...]
    """Columns whose equality makes a row identical to the survivor."""
    keep: str
    """The rule's whole ordering, in words."""
    reason: str
    """Why the first row stays, in words; empty where nothing has to go."""
    references: tuple[ReferenceCount, ...]
    gone: tuple[str, ...] = ()
    """Primary keys of rows that the plan names and that are not in the table any more."""
    fills: tuple[ValueChange, ...] = ()
    """The fields of the survivor that the plan fills from the group, before and after."""
    refused: str = ""
    """Why the plan leaves the group as it is; empty where it does not."""


@dataclass
class GroupReader:
    """Takes the rows of a group one by one and keeps of each what is shown."""

    target: Target
    members: list[Member] = field(default_factory=list)
    differing: set[str] = field(default_factory=set)
    first: list[dict[str, Any]] = field(default_factory=list)
    """The values of the first two rows, as they are stored."""
    keys: list[tuple[Any, ...]] = field(default_factory=list)
    """The primary keys, as they are stored."""

    gone: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, values: Sequence[Any], *, kind: str, changed: bool = False) -> None:
        """Take the next row; the first one is the survivor."""
        target, row = self.target, dict(zip(self.target.columns, values, strict=True))
        if len(self.first) < 2:
            self.first.append(row)
        survivor = self.first[0]
        self.differing |= {name for name in row if not _same(row[name], survivor[name])} - set(target.pk)
        self.keys.append(tuple(row[name] for name in target.pk))
        vector = self._vector_column
        self.members.append(
            Member(
                pk=", ".join(str(row[name]) for name in target.pk),
                kind=kind,
                values=tuple(abbreviate(value, vector=name == vector) for name, value in row.items()),
                distance=_distance(survivor, row, vector) if len(self.members) else None,
                changed=changed,
            )
        )

    def group(self, *, keep: str, reason: str) -> Group:
        """Return the group, with its references counted."""
        target = self.target
        return Group(
            rule=target.rule.name,
            database=target.using,
            table=target.table,
            key=target.key.parts,
            columns=target.columns,
            differing=frozenset(self.differing),
            members=tuple(self.members),
            size=self.size,
            content=target.content_columns,
            keep=keep,
            reason=reason,
            references=tuple(self._count(reference) for reference in target.references),
            gone=tuple(self.gone),
        )

    @property
    def _vector_column(self) -> str:
        name = self.target.rule.vector
        return str(self.target.model._meta.get_field(name).column) if name else ""

    def _count(self, reference: Reference) -> ReferenceCount:
        counts = None
        if reference.indexed and reference.soft is None and self.keys:
            found = self._counted(reference)
            counts = tuple(found.get(key, 0) for key in self.keys)
        return ReferenceCount(table=reference.table, columns=reference.columns, counts=counts)

    def _counted(self, reference: Reference) -> dict[tuple[Any, ...], int]:
        """How many rows point at each member that any row points at, by primary key."""
        target, rows = self.target, get_rows(using=self.target.using)
        this_row = joined(" AND ", (f"t.{identifier(column)} = %s" for column in target.pk))
        query = compose(
            """
            SELECT {pk}, COUNT(*) FROM {table} AS t JOIN {other} AS c ON {points}
            WHERE {members} GROUP BY {pk}
            """,
            pk=columns(target.pk, of="t"),
            table=target.table,
            other=reference.table,
            points=points_at(reference, "t", reference.target_columns, rows),
            members=joined(" OR ", (f"({this_row})" for _ in self.keys)),
        )
        found = rows.fetch(query, [value for key in self.keys for value in key])
        return {tuple(key): int(count) for *key, count in found}


def _same(one: Any, other: Any) -> bool:
    """Whether two stored values are the same: 5 and '5' are not, and NaN is NaN."""
    return type(one) is type(other) and bool(one == other or (one != one and other != other))


def _distance(survivor: dict[str, Any], row: dict[str, Any], column: str) -> float | None:
    return cosine_distance(vector_of(survivor[column]), vector_of(row[column])) if column else None
