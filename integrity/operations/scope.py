"""Which tables an operation may touch on which database, and how a fault of one is told to ``migrate``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.apps.registry import Apps
from django.core.management.base import CommandError
from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation

from integrity.backends import get_catalogue
from integrity.exceptions import IntegrityAppError
from integrity.operations.ledger import Ledger

OURS = "integrity"


class OperationRefused(IntegrityAppError, CommandError):
    """An operation could not be carried out.

    It is a ``CommandError`` too, so that ``migrate`` prints its message without a traceback and ends with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=2)


@contextmanager
def refusing() -> Iterator[None]:
    """Turn every foreseeable fault into one that ``migrate`` prints as one clear message."""
    try:
        yield
    except CommandError:
        raise
    except IntegrityAppError as error:
        raise OperationRefused(str(error)) from error


def is_in_scope(
    operation: Operation, *, model: type[models.Model], apps: Apps, schema_editor: BaseDatabaseSchemaEditor
) -> bool:
    """Whether the operation may touch the model's table here.

    The router must allow it and the table must be there. A mirrored table must also be known as created or
    adopted, and its system switched on: a table of the same name may be somebody else's.
    """
    using, table = schema_editor.connection.alias, model._meta.db_table
    if not operation.allow_migrate_model(using, model):
        return False
    if schema_editor.collect_sql:
        return True
    if not get_catalogue(using=using).columns(table):
        return False
    return model._meta.app_label != OURS or Ledger(table=table, apps=apps, using=using).is_on


def require_no_transaction(operation: Operation, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Check that the migration does not run in one transaction.

    Raises:
        OperationRefused: it does.
    """
    if schema_editor.connection.in_atomic_block and not schema_editor.collect_sql:
        raise OperationRefused(
            f"{type(operation).__name__} works in short transactions of its own and cannot run inside one. "
            "Set `atomic = False` on the migration's class."
        )
