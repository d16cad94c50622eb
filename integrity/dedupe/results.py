"""What the engine tells its callers: frozen, complete, and the same for a command, a page or a migration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateCount:
    """How many groups share a key, and how many rows are one too many."""

    groups: int
    redundant: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSummary:
    """What happens to the rows of one table that reference removed rows."""

    table: str
    columns: tuple[str, ...]
    repointed: int
    collisions: int
    indexed: bool
    """False where finding the referencing rows has to read the whole table for each batch."""
    unindexed: tuple[str, ...] = ()
    """What needs an index each, as ``a, b``; empty where ids are inside arrays or documents, which none finds."""
    rows: int | None = None
    """About how many rows that table has; None where there is an index."""
    reads: int | None = None
    """About how many rows the run will read for want of an index: all of the table's, once for each batch."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ReferenceSummary:
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why some groups are not treated; ``example`` is the primary key of one row of one of them.

    Of an undo it names the first rows that are in the way, with their groups: ``row 4 in group 2; row 9 in group 3``.
    """

    reason: str
    groups: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEntry:
    """A line of the book of plans. ``state`` is ``planned``, ``expired``, ``applied`` or ``purged``."""

    id: int
    rule: str
    table: str
    state: str
    groups: int
    redundant: int
    digest: str
    created_at: datetime
    expires_at: datetime

    def to_json(self) -> dict[str, Any]:
        times = {"created_at": self.created_at.isoformat(), "expires_at": self.expires_at.isoformat()}
        return asdict(self) | times


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummary:
    """A stored plan. Counts are of rows unless they say groups; ``max_distance`` is a cosine distance, 0 to 2."""

    id: int
    rule: str
    database: str
    table: str
    key: tuple[str, ...]
    keep: str
    digest: str
    groups: int
    redundant: int
    identical: int
    incomplete: int
    conflicting: int
    max_distance: float | None
    staying: int = 0
    """Redundant rows that stay: the rule's conflict policy lets them, or their group is refused."""
    largest: int = 0
    """Rows of the largest group of which rows go; 0 in plans of an earlier version."""
    filled: int
    """Survivors that get another value in some field, from the rows of their group."""
    references: tuple[ReferenceSummary, ...]
    refused: tuple[Refusal, ...]
    triggers: Mapping[str, Sequence[str]]
    """Names of the triggers of each table whose rows would go or change; what they do is not foreseen."""
    caveats: tuple[str, ...]
    """What nothing in the plan is about, and should be known: hidden survivors, undeclared references."""
    by_hand: int
    """Groups whose survivor was named by a person."""
    limit: int | None
    """How many groups were asked for at most; None: all."""
    left_by: int | None
    """The run whose refused groups alone were asked for; None: those of the whole table."""
    state: str
    wording: Mapping[str, Any]
    """How the rule was asked for, as it was handed to ``make_plan``."""
    expires_at: datetime

    @property
    def repointed(self) -> int:
        return sum(reference.repointed for reference in self.references)

    @property
    def collisions(self) -> int:
        return sum(reference.collisions for reference in self.references)

    @property
    def refused_groups(self) -> int:
        return sum(refusal.groups for refusal in self.refused)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "expires_at": self.expires_at.isoformat()}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What an application of a plan has done. An undo or a purge changes the state and the note, not the counts."""

    id: int
    plan: int
    rule: str
    database: str
    table: str
    state: str
    removed: int
    """Rows of the rule's table that it moved to quarantine."""
    repointed: int
    """Rows that reference survivors since, in one column or several."""
    collisions: int
    """Rows of other tables that it moved to quarantine."""
    batches: int
    refused: tuple[Refusal, ...]
    groups_left: int | None = None
    """Duplicate groups found by the search after the run; None where there was none."""
    note: str = ""
    """What else is to be said: that it was cancelled, failed, or purged."""

    @property
    def clean(self) -> bool:
        """Whether the table holds no duplicate any more."""
        return self.groups_left == 0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "clean": self.clean}


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoSummary:
    """What an undo brought back, and what it could not."""

    run: int
    state: str
    restored: int
    """Rows moved back from quarantine, of all tables."""
    repointed: int
    """Rows that point where they pointed before, in one column or several."""
    refused: tuple[Refusal, ...]
    kept: tuple[str, ...] = ()
    """What came back otherwise than it was: without a column that is gone, or with a default instead of NULL."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
