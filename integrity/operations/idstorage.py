"""A migration that repairs SQLite tables in which ids turn into numbers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ProjectState

from integrity.backends import get_catalogue
from integrity.backends.idstorage import IdColumn, IdRepair, IdTable, repair_ids
from integrity.dedupe.quarantine import quarantine_of
from integrity.operations.scope import Site, refusing, site_of


class RepairIdStorage(Operation):
    """Rebuild the tables of these models whose id columns have a type that corrupts ids; restore the ids.

    SQLite gives a column declared ``UUID`` NUMERIC affinity, in which ids of 32 hex digits that look like a number
    become REAL or Inf. Damaged primary keys get new ids; damaged references are restored where only one row can
    be meant; rows whose reference is not known any more go to quarantine with the reason. Name parents before
    their children. Reversing does nothing. The migration needs ``atomic = False``.
    """

    reversible = True
    reduces_to_sql = False
    category = OperationCategory.PYTHON

    def __init__(self, *, model_names: Sequence[str]) -> None:
        self.model_names = tuple(model_names)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a migration writes."""
        return type(self).__name__, [], {"model_names": self.model_names}

    def describe(self) -> str:
        """Say what it does."""
        return f"Repair the storage of ids of {', '.join(self.model_names)}"

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing: the models say what the columns should have been."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Repair the tables.

        Raises:
            OperationRefused: a table cannot be rebuilt; nothing was changed.
        """
        tables, last = [], None
        for name in self.model_names:
            model = from_state.apps.get_model(app_label, name)
            with site_of(self, model=model, state=from_state, schema_editor=schema_editor) as site:
                if site is not None and not site.only_print:
                    tables.append(_id_table(model))
                    last = site
        if last is not None:
            with refusing():
                self._repair(tables, last)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Do nothing: nobody wants the damage back."""

    def _repair(self, tables: list[IdTable], site: Site) -> None:
        repairs = repair_ids(
            tables,
            using=site.using,
            quarantine=partial(
                quarantine_of, apps=site.apps, using=site.using, catalogue=get_catalogue(using=site.using)
            ),
            new_id=lambda: uuid.uuid4().hex,
            say=site.say,
        )
        for done in repairs:
            site.say(_told(done))


def _id_table(model: type[models.Model]) -> IdTable:
    fields: list[Any] = list(model._meta.local_concrete_fields)
    columns = {field.name: field.column for field in fields}
    pk: Any = model._meta.pk
    return IdTable(
        name=model._meta.db_table,
        pk=pk.column,
        references=tuple(
            IdColumn(
                name=field.column,
                target=field.related_model._meta.db_table,
                target_column=str(field.target_field.column),
                nullable=field.null,
            )
            for field in fields
            if isinstance(field, models.ForeignKey) and field.target_field.get_internal_type() == "UUIDField"
        ),
        unique=tuple(
            tuple(columns[name] for name in constraint.fields)
            for constraint in model._meta.constraints
            if isinstance(constraint, models.UniqueConstraint) and constraint.fields
        ),
    )


def _told(done: IdRepair) -> str:
    return (
        f"{done.table}: {done.rows} rows rebuilt with {', '.join(done.columns)} as text; {done.new_ids} new ids, "
        f"{done.restored} references restored, {done.emptied} emptied, {done.lost} rows in quarantine with the reason"
    )
