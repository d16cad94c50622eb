"""Take a table as it is found, or create it where the database is ours.

See docs/explanation/adoption.md for what is compared, and docs/decisions/0004-adoption.md for why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import DatabaseError, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import CreateModel, ModelOperation
from django.db.migrations.state import ProjectState

from integrity import conf
from integrity.backends.extensions import create_extension
from integrity.operations.books import ABSENT, ADOPTED, CREATED, Register
from integrity.operations.comparison import compare_table
from integrity.operations.presence import is_there, require_readable, strangers_tables
from integrity.operations.refusal import AdoptionRefused, first_line, refusal


class AdoptTable(CreateModel):
    """Adopt the model's table where it exists; create it where the database holds nobody else's tables.

    An adopted table is compared with the model and never touched. A table that is missing among somebody
    else's is left absent. What was decided is recorded in ``integrity_table``. Reversing drops the table only
    if it was created here, with its rows, as Django does; an adopted one stays.

    ``system`` is the name in ``INTEGRITY_SYSTEMS`` that switches the table on (None: always on), ``optional``
    the fields whose columns may be missing, ``extensions`` what is created first where the database allows it.
    Adopting takes ACCESS SHARE on the table, for a moment.
    """

    serialization_expand_args = ["fields", "options", "managers"]

    def __init__(
        self,
        name: str,
        fields: list[tuple[str, models.Field[Any, Any]]],
        *,
        system: str | None = None,
        options: dict[str, Any] | None = None,
        bases: Sequence[type[Any] | str] | None = None,
        managers: Sequence[tuple[str, models.Manager[Any]]] | None = None,
        optional: Sequence[str] = (),
        extensions: Sequence[str] = (),
    ) -> None:
        self.system = system
        self.optional = tuple(optional)
        self.extensions = tuple(extensions)
        super().__init__(name, fields, options=options, bases=bases, managers=managers)

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        """Return what a migration writes."""
        name, args, kwargs = super().deconstruct()
        own = {"system": self.system, "optional": self.optional, "extensions": self.extensions}
        return name, args, {**kwargs, **{key: value for key, value in own.items() if value}}

    def describe(self) -> str:
        """Say what both directions do."""
        return f"Adopt or create the table of {self.name}; reversing drops it only if it was created here"

    def reduce(self, operation: Operation, app_label: str) -> bool | list[Operation]:
        """Never merge a later operation into this one: what was adopted would then seem to be created."""
        return ModelOperation.reduce(self, operation, app_label)

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Adopt the table, create it, or record that it is absent.

        Raises:
            AdoptionRefused: the table cannot serve the model, is a view, or may not be read or created.
            BooksMissing: the migration does not depend on our first one.
            UnsupportedDatabase: the database is neither PostgreSQL nor SQLite.
        """
        apps, using = to_state.apps, schema_editor.connection.alias
        model = apps.get_model(app_label, self.name)
        if not self.allow_migrate_model(using, model) or not self._is_on():
            return
        if schema_editor.collect_sql:  # sqlmigrate: print, and touch nothing
            schema_editor.create_model(model)
            return
        table, register = model._meta.db_table, Register(apps=apps, using=using)
        if is_there(table=table, using=using):
            origin, notes = ADOPTED, self._adopt(model, using)
        elif strangers := strangers_tables(apps=apps, app_label=app_label, using=using):
            origin, notes = ABSENT, [absence(strangers)]
        else:
            origin, notes = CREATED, self._create(model, schema_editor)
        register.record(table=table, system=self.system or "", origin=origin, notes=notes)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Drop the table if it was created here, with its rows; forget it in any case.

        Raises:
            AdoptionRefused: a view has taken the place of the table.
            BooksMissing: the migration does not depend on our first one.
        """
        using = schema_editor.connection.alias
        model = from_state.apps.get_model(app_label, self.name)
        if not self.allow_migrate_model(using, model):
            return
        if schema_editor.collect_sql:
            schema_editor.delete_model(model)
            return
        table, register = model._meta.db_table, Register(apps=from_state.apps, using=using)
        if register.origin(table) == CREATED and is_there(table=table, using=using):
            schema_editor.delete_model(model)
        register.forget(table)

    def _is_on(self) -> bool:
        return self.system is None or self.system in conf.systems()

    def _adopt(self, model: type[models.Model], using: str) -> list[str]:
        require_readable(table=model._meta.db_table, using=using)
        differences = compare_table(model=model, using=using, optional=self.optional)
        if any(difference.level == "error" for difference in differences):
            raise refusal(table=model._meta.db_table, differences=differences)
        return [str(difference) for difference in differences]

    def _create(self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor) -> list[str]:
        using = schema_editor.connection.alias
        reasons = [create_extension(name=name, using=using) for name in self.extensions]
        try:
            schema_editor.create_model(model)
        except DatabaseError as error:
            raise AdoptionRefused(
                f'The table "{model._meta.db_table}" could not be created: {first_line(error)}. '
                "Grant CREATE on the schema to this role, or migrate as its owner."
            ) from error
        return [reason for reason in reasons if reason]


def absence(strangers: Sequence[str]) -> str:
    """Say why a table was not created."""
    named = ", ".join(strangers[:3]) + (f" and {len(strangers) - 3} more" if len(strangers) > 3 else "")
    return f"not created: this database holds somebody else's tables ({named})"
