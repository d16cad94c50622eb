"""What migrations import: operations on tables that may already hold data, and may belong to somebody else."""

from __future__ import annotations

from integrity.operations import report as report  # connects the receiver that prints what was adopted
from integrity.operations.adopt import AdoptTable
from integrity.operations.duplicates import RemoveDuplicates
from integrity.operations.refusal import AdoptionRefused
from integrity.operations.removal import DuplicatesRemain
from integrity.operations.scope import OperationRefused
from integrity.operations.unique import AddUniqueConstraintOnline, RemoveUniqueConstraintOnline

__all__ = [
    "AddUniqueConstraintOnline",
    "AdoptTable",
    "AdoptionRefused",
    "DuplicatesRemain",
    "OperationRefused",
    "RemoveDuplicates",
    "RemoveUniqueConstraintOnline",
]

for _operation in (AdoptTable, AddUniqueConstraintOnline, RemoveDuplicates, RemoveUniqueConstraintOnline):
    _operation.__module__ = __name__  # what makemigrations writes: the package, not the file
