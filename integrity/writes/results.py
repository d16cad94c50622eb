"""What became of rows that were written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRow:
    """A row that was not written, its place in the input (from 0), and why."""

    position: int
    row: Mapping[str, Any]
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsertResult:
    """Primary keys by outcome, one for each row of the input, so that the counts add up to it."""

    inserted: tuple[Any, ...] = ()
    updated: tuple[Any, ...] = ()
    unchanged: tuple[Any, ...] = ()
    """Existing rows that were the same, as new, or not to be overwritten."""
    stale: tuple[Any, ...] = ()
    """Existing rows that are newer than what was given."""
    folded: tuple[Any, ...] = ()
    """For each row whose key came again in the same batch, and was written together with it: the row that both mean."""
    failed: tuple[FailedRow, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many rows had each outcome."""
        return {field.name: len(getattr(self, field.name)) for field in fields(self)}

    @property
    def total(self) -> int:
        """How many rows were given."""
        return sum(self.counts.values())

    @classmethod
    def sum(cls, results: list[UpsertResult]) -> UpsertResult:
        """Put the results of several batches together."""
        return cls(
            **{
                field.name: tuple(chain.from_iterable(getattr(result, field.name) for result in results))
                for field in fields(cls)
            }
        )
