"""What migrations import: operations on tables that may already hold data, and may belong to somebody else."""

from __future__ import annotations

from integrity.operations import report as report
from integrity.operations.adopt import AdoptTable
from integrity.operations.refusal import AdoptionRefused

__all__ = ["AdoptTable", "AdoptionRefused"]

AdoptTable.__module__ = __name__  # what makemigrations writes: the package, not the file
