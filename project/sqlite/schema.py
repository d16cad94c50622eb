"""A schema editor that answers for its own tables only."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.sqlite3 import schema as sqlite3
from django.db.models import Model


class DatabaseSchemaEditor(sqlite3.DatabaseSchemaEditor):
    """Checks, at its end, the foreign keys of the tables that it made or rebuilt.

    Django's own checks the whole database. An adopted one may hold orphans from long before, which would fail
    every migration; and on a large file the check reads every row.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.written: set[str] = set()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Django's three steps, the first one narrowed; its second is the parent class's.
        try:
            if exc_type is None:
                self._check_written()
        except BaseException as error:
            exc_type, exc_value, traceback = type(error), error, error.__traceback__
            raise
        finally:
            BaseDatabaseSchemaEditor.__exit__(self, exc_type, exc_value, traceback)
            self.connection.enable_constraint_checking()

    def _check_written(self) -> None:
        present = set(self.connection.introspection.table_names())
        self.connection.check_constraints(table_names=sorted(self.written & present))

    def create_model(self, model: type[Model]) -> None:
        super().create_model(model)
        self.written.add(model._meta.db_table)

    def alter_db_table(self, model: type[Model], old_db_table: str, new_db_table: str) -> None:
        super().alter_db_table(model, old_db_table, new_db_table)
        if old_db_table in self.written:
            self.written.add(new_db_table)

    def _remake_table(self, model: type[Model], *args: Any, **kwargs: Any) -> None:
        super()._remake_table(model, *args, **kwargs)  # type: ignore[misc]  # missing in django-stubs
        self.written.add(model._meta.db_table)
