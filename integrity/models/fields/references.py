"""A foreign key as a constraint of its own, for those that the original names or gives an ON DELETE."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement, Table


class ForeignKeyConstraint(models.BaseConstraint):
    """``CONSTRAINT name FOREIGN KEY (field) REFERENCES ... ON DELETE ...``, immediate.

    Django names foreign keys itself and has no ON DELETE. The field that this stands for has
    ``db_constraint=False``, so that the database gets one foreign key and not two.
    """

    def __init__(self, *, field: str, name: str, on_delete: str = "NO ACTION", **kwargs: Any) -> None:
        self.field = field
        self.on_delete = on_delete
        super().__init__(name=name, **kwargs)

    def constraint_sql(self, model: Any, schema_editor: Any) -> str:
        """Return the clause for CREATE TABLE."""
        field = model._meta.get_field(self.field)
        quote = schema_editor.quote_name
        return (
            f"CONSTRAINT {quote(self.name)} FOREIGN KEY ({quote(field.column)}) "
            f"REFERENCES {quote(field.remote_field.model._meta.db_table)} ({quote(field.target_field.column)}) "
            f"ON DELETE {self.on_delete}"
        )

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        """Return the statement that adds it to a table. SQLite cannot; Django does not ask it to."""
        clause = self.constraint_sql(model, schema_editor).replace("%", "%%")
        return Statement(f"ALTER TABLE %(table)s ADD {clause}", table=_table(model, schema_editor))

    def remove_sql(self, model: Any, schema_editor: Any) -> Any:
        """Return the statement that drops it."""
        name = schema_editor.quote_name(self.name).replace("%", "%%")
        return Statement(f"ALTER TABLE %(table)s DROP CONSTRAINT {name}", table=_table(model, schema_editor))

    def validate(
        self,
        model: type[models.Model],
        instance: models.Model,
        exclude: set[str] | None = None,
        using: str = "default",
    ) -> None:
        """Do nothing: the field itself looks for the row it points at."""

    def deconstruct(self) -> tuple[str, Any, dict[str, Any]]:
        """Return what a migration writes."""
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "field": self.field, "on_delete": self.on_delete}

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ForeignKeyConstraint):
            return self.deconstruct() == other.deconstruct()
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.field, self.on_delete))


def _table(model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor) -> Table:
    return Table(model._meta.db_table, schema_editor.quote_name)
