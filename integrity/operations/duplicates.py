"""A migration that removes duplicates by a rule of its own."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ProjectState

from integrity.backends.unique import get_unique
from integrity.dedupe import DedupeRule
from integrity.operations.removal import remove_duplicates
from integrity.operations.scope import site_of


class RemoveDuplicates(Operation):
    """Remove the redundant rows of a rule to quarantine and move references to the survivors.

    On PostgreSQL in short transactions that lock the rows of one batch; on SQLite in one. Reversing does nothing:
    the rows stay restorable with ``undo_dedupe``. The migration needs ``atomic = False`` and must depend on
    ``("integrity", "0001_initial")``.
    """

    reduces_to_sql = False
    reversible = True
    category = OperationCategory.PYTHON

    def __init__(self, *, rule: DedupeRule) -> None:
        self.rule = rule

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a migration writes."""
        return type(self).__name__, [], {"rule": self.rule}

    def describe(self) -> str:
        """Say what both directions do."""
        return f"Remove duplicates of {self.rule.model} to quarantine; reversing leaves them restorable"

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing: rows are not state."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Remove them.

        Raises:
            OperationRefused: some could not be removed, and why.
        """
        model = from_state.apps.get_model(self.rule.model)
        with site_of(self, model=model, state=from_state, schema_editor=schema_editor) as site:
            if site is None:
                return
            if site.only_print:
                schema_editor.collected_sql.append(f"-- {self.describe()}")
                return
            with get_unique(using=site.using).together():
                remove_duplicates(self.rule, apps=site.apps, using=site.using, say=site.say)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Do nothing."""
