"""Stages: the side tables that hold a plan, and what the plan's document says of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from integrity.backends.rows import numbered


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedReference:
    """Reference number ``number`` (from 1) of a stage: these columns point at a row of the target table."""

    number: int
    columns: tuple[str, ...]
    target_table: str
    target_columns: tuple[str, ...]
    indexed: bool = True

    @property
    def old(self) -> tuple[str, ...]:
        """The stage's columns with the values before."""
        return numbered(f"o{self.number}_", len(self.columns))

    @property
    def new(self) -> tuple[str, ...]:
        """The stage's columns with the values after; NULL where the row does not change here."""
        return numbered(f"n{self.number}_", len(self.columns))


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

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Stage:
        references = tuple(
            StagedReference(
                number=reference["number"],
                columns=tuple(reference["columns"]),
                target_table=reference["target_table"],
                target_columns=tuple(reference["target_columns"]),
                indexed=reference["indexed"],
            )
            for reference in data["references"]
        )
        return cls(
            name=data["name"],
            table=data["table"],
            pk=tuple(data["pk"]),
            columns=tuple(data["columns"]),
            references=references,
        )


def application_order(root: Stage, others: Iterable[Stage]) -> tuple[Stage, ...]:
    """Order stages so that each comes before the tables it points at, and the rule's own table last.

    Rows that reference a redundant row must have moved away before it goes. Tables that point at each other in a
    ring keep the order in which they were met, latest first.
    """
    waiting = list(others)[::-1]
    ordered: list[Stage] = []
    while waiting:
        pointed_at = {r.target_table for stage in waiting for r in stage.references if r.target_table != stage.table}
        free = next((stage for stage in waiting if stage.table not in pointed_at), waiting[0])
        waiting.remove(free)
        ordered.append(free)
    return (*ordered, root)
