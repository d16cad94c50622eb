"""The end of our books: never while they hold rows that exist nowhere else."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.db import router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from integrity.backends import get_rows
from integrity.backends.sql import compose
from integrity.dedupe.advice import command_for
from integrity.exceptions import IntegrityAppError

_KEEPS_ROWS = ("quarantine", "changes", "fills")
_OF_PLANS = ("integrity_plan", "integrity_undo")


class QuarantineNotEmpty(IntegrityAppError, CommandError):
    """Reversing would drop the register of removed rows while there are some."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=2)


class CloseBooks(Operation):
    """Do nothing forwards; backwards, refuse while anything is in quarantine, else drop the side tables.

    It is the last operation of the migration that makes the books, so that it is reversed first.
    """

    reversible = True
    reduces_to_sql = False

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """The side tables are no models."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Side tables are made when they are needed."""

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Drop the side tables.

        Raises:
            QuarantineNotEmpty: one of them keeps removed rows or changed values.
        """
        using = schema_editor.connection.alias
        if schema_editor.collect_sql or not router.allow_migrate(using, app_label):
            return
        rows = get_rows(using=using)
        register: Any = from_state.apps.get_model(app_label, "SideTable")
        sides = list(register._base_manager.using(using).order_by("name"))
        for side in sides:
            if side.kind in _KEEPS_ROWS:
                count = int(rows.value(compose("SELECT COUNT(*) FROM {name}", name=side.name)))
                self._require_empty(side, count, using=using)
        of_plans = {name for prefix in _OF_PLANS for name in rows.side_tables(prefix)} - {"integrity_plan"}
        for name in (*(side.name for side in sides), *sorted(of_plans)):
            rows.drop(name)

    def _require_empty(self, side: Any, count: int, *, using: str) -> None:
        if count:
            raise QuarantineNotEmpty(
                f"{side.name} keeps {count} of what runs removed from {side.table} or changed in it; without our books "
                f"nobody would find it. Bring it back with {command_for('undo_dedupe RUN', using=using)} (see --list), "
                f"or let it go with {command_for('purge_quarantine --older-than 0d', using=using)}; then reverse again."
            )

    def describe(self) -> str:
        return "Keep the books while anything is in quarantine"
