"""Stages: the side tables that hold a plan, and what the plan's document says of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from integrity.backends.sql import numbered
from integrity.dedupe.rule import REPOINT


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedReference:
    """Reference number ``number`` (from 1) of a stage: these columns point at a row of the target table.

    The other attributes are those of ``references.Reference``. A stage that fills fields of survivors has its
    columns here as well, without a target.
    """

    number: int
    columns: tuple[str, ...]
    target_table: str = ""
    target_columns: tuple[str, ...] = ()
    indexed: bool = True
    types: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    dashed: bool = False
    condition: str = ""
    policy: str = REPOINT
    inside: str = ""
    path: tuple[str, ...] = ()

    @property
    def old(self) -> tuple[str, ...]:
        """The stage's columns with the values before."""
        return numbered(f"o{self.number}_", len(self.columns))

    @property
    def new(self) -> tuple[str, ...]:
        """The stage's columns with the values after; NULL where the row does not change here."""
        return numbered(f"n{self.number}_", len(self.columns))

    @property
    def grp(self) -> str:
        """The stage's column with the group of the row that this reference points at."""
        return f"g{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A side table that says what happens to rows of ``table``."""

    name: str
    table: str
    pk: tuple[str, ...]
    columns: tuple[str, ...]
    references: tuple[StagedReference, ...] = ()

    @property
    def p(self) -> tuple[str, ...]:
        return numbered("p", len(self.pk))

    @property
    def s(self) -> tuple[str, ...]:
        return numbered("s", len(self.pk))

    @property
    def plain(self) -> tuple[StagedReference, ...]:
        """The references that are columns; not ids inside arrays or documents, nor fields to be filled."""
        return tuple(r for r in self.references if r.target_table and not r.inside)

    @property
    def targets(self) -> frozenset[str]:
        """The tables that its rows reference."""
        return frozenset(r.target_table for r in self.references)

    @property
    def fills(self) -> bool:
        """Whether it fills fields of survivors."""
        return any(not reference.target_table for reference in self.references)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Stage:
        references = tuple(
            StagedReference(**{key: _frozen(value) for key, value in reference.items()})
            for reference in data["references"]
        )
        return cls(**{**{key: _frozen(value) for key, value in data.items()}, "references": references})


def _frozen(value: Any) -> Any:
    """JSON has lists for tuples."""
    return tuple(value) if isinstance(value, list) else value


def application_order(root: Stage, others: Iterable[Stage]) -> tuple[Stage, ...]:
    """Order stages so that each comes before the tables it points at, the rule's own table after all of them.

    Rows that reference a redundant row must have moved away before it goes; fields of survivors are filled last,
    when the redundant rows no longer hold the values. Tables that point at each other in a ring keep the order in
    which they were met, latest first.
    """
    known = list(others)[::-1]
    waiting = [stage for stage in known if not stage.fills]
    ordered: list[Stage] = []
    while waiting:
        pointed_at = {r.target_table for stage in waiting for r in stage.references if r.target_table != stage.table}
        free = next((stage for stage in waiting if stage.table not in pointed_at), waiting[0])
        waiting.remove(free)
        ordered.append(free)
    return (*ordered, root, *(stage for stage in known if stage.fills))
