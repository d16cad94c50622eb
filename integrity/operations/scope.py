"""Which tables an operation may touch on which database, and how a fault of one is told to ``migrate``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.apps.registry import Apps
from django.core.management.base import CommandError
from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from integrity import conf
from integrity.backends import get_catalogue
from integrity.exceptions import IntegrityAppError
from integrity.operations.ledger import Ledger
from integrity.operations.output import say


class OperationRefused(IntegrityAppError, CommandError):
    """An operation could not be carried out.

    It is a ``CommandError`` too, so that ``migrate`` prints its message without a traceback and ends with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=2)


@dataclass(frozen=True, kw_only=True)
class Site:
    """One table on one database, where an operation may work."""

    model: type[models.Model]
    table: str
    apps: Apps
    using: str
    ledger: Ledger
    only_print: bool
    """True for ``sqlmigrate``: nothing may be touched."""

    def say(self, line: str, /) -> None:
        """Print a line under the migration that is being applied."""
        say(line, using=self.using)


@contextmanager
def site_of(
    operation: Operation, *, model: type[models.Model], state: ProjectState, schema_editor: BaseDatabaseSchemaEditor
) -> Iterator[Site | None]:
    """Give the operation its table to work on, or None where it must not, and tell its faults to ``migrate``.

    The router must allow it and the table must be there. A mirrored table must also be known as created or
    adopted, and its system switched on: a table of the same name may be somebody else's.

    Raises:
        OperationRefused: the migration runs in one transaction, or the operation raised an error of ours.
    """
    using, table = schema_editor.connection.alias, model._meta.db_table
    with refusing():
        ledger = Ledger(table=table, apps=state.apps, using=using)
        if not operation.allow_migrate_model(using, model):
            yield None
        elif schema_editor.collect_sql:
            yield Site(model=model, table=table, apps=state.apps, using=using, ledger=ledger, only_print=True)
        elif not get_catalogue(using=using).columns(table) or (model._meta.app_label == conf.OURS and not ledger.is_on):
            yield None
        else:
            _require_no_transaction(operation, schema_editor)
            yield Site(model=model, table=table, apps=state.apps, using=using, ledger=ledger, only_print=False)


@contextmanager
def refusing() -> Iterator[None]:
    """Turn every foreseeable fault into one that ``migrate`` prints as one clear message."""
    try:
        yield
    except CommandError:
        raise
    except IntegrityAppError as error:
        raise OperationRefused(str(error)) from error


def _require_no_transaction(operation: Operation, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.in_atomic_block:
        raise OperationRefused(
            f"{type(operation).__name__} works in short transactions of its own and cannot run inside one. "
            "Set `atomic = False` on the migration's class."
        )
