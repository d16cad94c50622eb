"""Migrations that drop and add plain indexes while the table is in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.models import AddIndex, RemoveIndex
from django.db.migrations.state import ProjectState

from integrity.backends import get_catalogue
from integrity.backends.djangosql import raw
from integrity.backends.schema import get_schema
from integrity.backends.sql import SQL
from integrity.operations.scope import Site, site_of


class DropIndexIfExists(RemoveIndex):
    """Drop a plain index, whichever of its names it has; reversing puts back what was dropped.

    An index of that name that is unique, or that a constraint owns, stays: it does more than finding rows.
    The migration needs ``atomic = False``.
    """

    def __init__(self, model_name: str, name: str, *, also_called: Sequence[str] = ()) -> None:
        super().__init__(model_name, name)
        self.also_called = tuple(also_called)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a migration writes."""
        kwargs: dict[str, Any] = {"model_name": self.model_name, "name": self.name}
        return type(self).__name__, [], kwargs | ({"also_called": self.also_called} if self.also_called else {})

    def describe(self) -> str:
        """Say what both directions do."""
        return f"Drop the index {self.name} if it is there; reversing puts it back"

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Drop it."""
        model = from_state.apps.get_model(app_label, self.model_name)
        with site_of(self, model=model, state=from_state, schema_editor=schema_editor) as site:
            if site is None:
                return
            if site.only_print:
                schema_editor.collected_sql.append(f"-- drops {self.name} on {site.table} if it is there")
                return
            for index in get_catalogue(using=site.using).indexes(site.table):
                if index.name in (self.name, *self.also_called) and not index.unique and not index.constraint:
                    site.ledger.note_taken(index.name, statement=index.definition)
                    get_schema(using=site.using).drop_index(site.table, index.name, say=site.say)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Put it back."""
        model = to_state.apps.get_model(app_label, self.model_name)
        with site_of(self, model=model, state=to_state, schema_editor=schema_editor) as site:
            if site is None or site.only_print:
                return
            schema = get_schema(using=site.using)
            if not site.ledger.keeps:
                index = to_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
                schema.create_index(site.table, self.name, _creation(index, model, schema_editor), say=site.say)
            for name in (self.name, *self.also_called):
                if statement := site.ledger.taken(name):
                    schema.create_index(site.table, name, raw(statement), say=site.say)
                    site.ledger.forget_taken(name)


class AddIndexIfMissing(AddIndex):
    """Add an index while the table is in use, unless one of its name is there; reversing drops what was added.

    The migration needs ``atomic = False``.
    """

    def describe(self) -> str:
        """Say what both directions do."""
        return f"Add the index {self.index.name} if it is missing; reversing drops it if it was added here"

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
            name, statement = self.index.name, _creation(self.index, model, schema_editor)
            if site.only_print:
                schema_editor.collected_sql.append(f"{statement % ()};")
            elif not _has_index(site, name):
                site.ledger.note_added(name)
                get_schema(using=site.using).create_index(site.table, name, statement, say=site.say)

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
            if site is not None and not site.only_print and site.ledger.was_added(self.index.name):
                get_schema(using=site.using).drop_index(site.table, self.index.name, say=site.say)
                site.ledger.forget_added(self.index.name)


def _has_index(site: Site, name: str) -> bool:
    indexes = get_catalogue(using=site.using).indexes(site.table)
    return any(index.name == name and index.valid for index in indexes)


def _creation(index: models.Index, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor) -> SQL:
    return raw(index.create_sql(model, schema_editor))
