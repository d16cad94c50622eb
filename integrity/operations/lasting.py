"""Tables of ours whose rows exist nowhere else: reversing a migration must not lose them."""

from __future__ import annotations

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import CreateModel, ModelOperation
from django.db.migrations.state import ProjectState

from integrity.operations.output import say
from integrity.operations.presence import is_there


class CreateLastingModel(CreateModel):
    """Create the table, or take up the one that was left; reversing drops it only while it is empty."""

    def describe(self) -> str:
        """Say what both directions do."""
        return f"Create the table of {self.name}; reversing leaves it while it holds rows"

    def reduce(self, operation: Operation, app_label: str) -> bool | list[Operation]:
        """Never merge a later operation into this one: a table that is taken up would not get its change."""
        return ModelOperation.reduce(self, operation, app_label)

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Create it unless it is there.

        Raises:
            AdoptionRefused: a view has its name.
        """
        table = to_state.apps.get_model(app_label, self.name)._meta.db_table
        if schema_editor.collect_sql or not is_there(table=table, using=schema_editor.connection.alias):
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Drop it if it is empty."""
        using, model = schema_editor.connection.alias, from_state.apps.get_model(app_label, self.name)
        ours = self.allow_migrate_model(using, model) and not schema_editor.collect_sql
        if ours and model._base_manager.using(using).exists():
            say(f"{model._meta.db_table} holds rows that exist nowhere else; it stays", using=using)
            return
        super().database_backwards(app_label, schema_editor, from_state, to_state)
