"""Migrations that change foreign keys without holding a lock while rows are checked.

SQLite has foreign keys in CREATE TABLE only; there these operations leave the table as it is.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import OperationCategory
from django.db.migrations.operations.models import ModelOptionOperation
from django.db.migrations.state import ProjectState

from integrity.backends.schema import Schema, get_schema
from integrity.operations.scope import Site, site_of


class _ForeignKeyOperation(ModelOptionOperation):
    """An operation on a foreign key that the database knows by name."""

    category = OperationCategory.ALTERATION

    def __init__(self, model_name: str, name: str) -> None:
        self.model_name = model_name
        self.constraint_name = name
        super().__init__(model_name)

    @property
    def model_name_lower(self) -> str:
        return self.model_name.lower()

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a migration writes."""
        return type(self).__name__, [], {"model_name": self.model_name, "name": self.constraint_name}

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Change the foreign key."""
        self._run(app_label, schema_editor, from_state, backwards=False)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Put back what it was."""
        self._run(app_label, schema_editor, to_state, backwards=True)

    def _run(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState, *, backwards: bool
    ) -> None:
        model = state.apps.get_model(app_label, self.model_name)
        with site_of(self, model=model, state=state, schema_editor=schema_editor) as site:
            if site is not None and site.only_print:
                schema_editor.collected_sql.append(f"-- {self.describe()}")
            elif site is not None:
                change = self._put_back if backwards else self._change
                change(site, get_schema(using=site.using))

    def _change(self, site: Site, schema: Schema) -> None:
        raise NotImplementedError

    def _put_back(self, site: Site, schema: Schema) -> None:
        raise NotImplementedError


class DropForeignKeyIfExists(_ForeignKeyOperation):
    """Drop a foreign key of that name if it is there; reversing puts back what was dropped.

    Rows that reference nothing by then are let be: the foreign key then holds for new rows only (NOT VALID). Takes
    ACCESS EXCLUSIVE on both tables for a moment. The migration needs ``atomic = False``.
    """

    def describe(self) -> str:
        """Say what both directions do."""
        return f"Drop the foreign key {self.constraint_name} if it is there; reversing puts it back"

    def _change(self, site: Site, schema: Schema) -> None:
        if statement := schema.foreign_key(site.table, self.constraint_name):
            site.ledger.note_taken(self.constraint_name, statement=statement)
            schema.drop_foreign_key(site.table, self.constraint_name, say=site.say)

    def _put_back(self, site: Site, schema: Schema) -> None:
        if statement := site.ledger.taken(self.constraint_name):
            schema.restore_foreign_key(site.table, self.constraint_name, statement, say=site.say)
            site.ledger.forget_taken(self.constraint_name)


class AlterForeignKeyOnDelete(_ForeignKeyOperation):
    """Give a foreign key another ON DELETE: add the new one NOT VALID, validate, exchange them.

    ``before`` is the action that reversing gives a key of a table that is not in our register. Adding takes SHARE
    ROW EXCLUSIVE and exchanging ACCESS EXCLUSIVE on both tables for a moment; validating lets writers go on.
    The migration needs ``atomic = False``.
    """

    def __init__(self, model_name: str, name: str, *, on_delete: str, before: str) -> None:
        super().__init__(model_name, name)
        self.on_delete = on_delete
        self.before = before

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a migration writes."""
        name, args, kwargs = super().deconstruct()
        return name, args, {**kwargs, "on_delete": self.on_delete, "before": self.before}

    def describe(self) -> str:
        """Say what it does."""
        return f"Make {self.constraint_name} ON DELETE {self.on_delete}"

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change the constraint of that name, if the model has one that knows its ON DELETE."""
        constraints = state.models[app_label, self.model_name_lower].options.get("constraints", [])
        for constraint in constraints:
            if constraint.name == self.constraint_name and hasattr(constraint, "on_delete"):
                _, args, kwargs = constraint.deconstruct()
                changed = type(constraint)(*args, **{**kwargs, "on_delete": self.on_delete})
                options = [changed if other is constraint else other for other in constraints]
                state.alter_model_options(app_label, self.model_name_lower, {"constraints": options})

    def _change(self, site: Site, schema: Schema) -> None:
        had = schema.set_on_delete(site.table, self.constraint_name, self.on_delete, say=site.say)
        if had is not None:
            site.ledger.note_taken(self.constraint_name, statement=had)

    def _put_back(self, site: Site, schema: Schema) -> None:
        action = site.ledger.taken(self.constraint_name) if site.ledger.keeps else self.before
        if action is not None:
            schema.set_on_delete(site.table, self.constraint_name, action, say=site.say)
            site.ledger.forget_taken(self.constraint_name)
