"""What migrations import: operations on tables that may already hold data, and may belong to somebody else."""

from __future__ import annotations

from integrity.operations import report as report  # connects the receiver that prints what was adopted
from integrity.operations.adopt import AdoptTable
from integrity.operations.booksend import CloseBooks, QuarantineNotEmpty
from integrity.operations.columns import AddFieldIfMissing, SetDatabaseDefault
from integrity.operations.duplicates import RemoveDuplicates
from integrity.operations.foreignkeys import AlterForeignKeyOnDelete, DropForeignKeyIfExists
from integrity.operations.idstorage import RepairIdStorage
from integrity.operations.indexes import AddIndexIfMissing, DropIndexIfExists
from integrity.operations.lasting import CreateLastingModel
from integrity.operations.refusal import AdoptionRefused
from integrity.operations.removal import DuplicatesRemain
from integrity.operations.scope import OperationRefused
from integrity.operations.unique import AddUniqueConstraintOnline, RemoveUniqueConstraintOnline

_OPERATIONS = (
    AddFieldIfMissing,
    AddIndexIfMissing,
    AddUniqueConstraintOnline,
    AdoptTable,
    AlterForeignKeyOnDelete,
    CloseBooks,
    CreateLastingModel,
    DropForeignKeyIfExists,
    DropIndexIfExists,
    RemoveDuplicates,
    RemoveUniqueConstraintOnline,
    RepairIdStorage,
    SetDatabaseDefault,
)
__all__ = [
    "AddFieldIfMissing",
    "AddIndexIfMissing",
    "AddUniqueConstraintOnline",
    "AdoptTable",
    "AdoptionRefused",
    "AlterForeignKeyOnDelete",
    "CloseBooks",
    "CreateLastingModel",
    "DropForeignKeyIfExists",
    "DropIndexIfExists",
    "DuplicatesRemain",
    "OperationRefused",
    "QuarantineNotEmpty",
    "RemoveDuplicates",
    "RemoveUniqueConstraintOnline",
    "RepairIdStorage",
    "SetDatabaseDefault",
]

for _operation in _OPERATIONS:
    _operation.__module__ = __name__  # what makemigrations writes: the package, not the file
