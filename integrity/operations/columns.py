"""Migrations that add columns and database defaults to tables that are in use and never rebuild them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.fields import AddField, AlterField
from django.db.migrations.state import ProjectState

from integrity.backends import Column, get_catalogue
from integrity.backends.djangosql import raw
from integrity.backends.schema import get_schema
from integrity.backends.sql import SQL, compose
from integrity.operations.scope import Site, site_of


class AddFieldIfMissing(AddField):
    """Add a column unless it is there; reversing drops it, with its values, if it was added here.

    The field must be nullable or have a constant ``db_default``, so that no row is rewritten. Takes ACCESS EXCLUSIVE
    for a moment. The migration needs ``atomic = False``.
    """

    def describe(self) -> str:
        """Say what both directions do."""
        return f"Add {self.name} to {self.model_name} if it is missing; reversing drops it if it was added here"

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Add it."""
        model = to_state.apps.get_model(app_label, self.model_name)
        with site_of(self, model=model, state=to_state, schema_editor=schema_editor) as site:
            if site is None:
                return
            field: Any = model._meta.get_field(self.name)
            definition = _literal(schema_editor, *schema_editor.column_sql(model, field))
            if site.only_print:
                schema_editor.collected_sql.append(f"-- adds {site.table}.{field.column} if it is missing")
            elif field.column not in _columns(site):
                site.ledger.note_added(field.column)
                column = compose("{name} {definition}", name=field.column, definition=definition)
                get_schema(using=site.using).add_column(site.table, column, say=site.say)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Drop it if it was added here."""
        model = from_state.apps.get_model(app_label, self.model_name)
        with site_of(self, model=model, state=from_state, schema_editor=schema_editor) as site:
            column = _column(model, self.name)
            if site is not None and not site.only_print and site.ledger.was_added(column):
                get_schema(using=site.using).drop_column(site.table, column, say=site.say)
                site.ledger.forget_added(column)


class SetDatabaseDefault(AlterField):
    """Let the database fill a column by the field's ``db_default``, unless it has a default of its own.

    SQLite keeps the table as it is: there the field's Python default serves. Takes ACCESS EXCLUSIVE for a moment.
    The migration needs ``atomic = False``.
    """

    def describe(self) -> str:
        """Say what both directions do."""
        return f"Let the database fill {self.name} of {self.model_name}; reversing stops that"

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Set the default."""
        model = to_state.apps.get_model(app_label, self.model_name)
        with site_of(self, model=model, state=to_state, schema_editor=schema_editor) as site:
            column = _column(model, self.name)
            if site is None or site.only_print or _columns(site)[column].default is not None:
                return
            editor: Any = schema_editor
            expression = _literal(editor, *editor.db_default_sql(model._meta.get_field(self.name)))
            if get_schema(using=site.using).set_default(site.table, column, expression, say=site.say):
                site.ledger.note_added(f"{column} DEFAULT")

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Drop the default if it was set here."""
        model = from_state.apps.get_model(app_label, self.model_name)
        with site_of(self, model=model, state=from_state, schema_editor=schema_editor) as site:
            column = _column(model, self.name)
            if site is not None and not site.only_print and site.ledger.was_added(f"{column} DEFAULT"):
                get_schema(using=site.using).set_default(site.table, column, None, say=site.say)
                site.ledger.forget_added(f"{column} DEFAULT")


def _column(model: type[models.Model], name: str) -> str:
    field: Any = model._meta.get_field(name)
    return str(field.column)


def _columns(site: Site) -> dict[str, Column]:
    return {column.name: column for column in get_catalogue(using=site.using).columns(site.table)}


def _literal(schema_editor: BaseDatabaseSchemaEditor, sql: str | None, params: Sequence[Any]) -> SQL:
    """Complete text: DDL takes no parameters on every database."""
    return raw((sql or "") % tuple(map(schema_editor.quote_value, params)) if params else sql)
