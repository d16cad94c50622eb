"""Indexes under the originals' names, and of the kinds that each database has."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement

from integrity.models.fields.vendor import is_postgresql


class LongNameIndex(models.Index):
    """An index whose name may have PostgreSQL's 63 characters; Django stops at 30, for Oracle's sake."""

    max_name_length = 63


class GinIndex(LongNameIndex):
    """GIN on PostgreSQL, a plain index on SQLite."""

    suffix = "gin"

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        """Return the statement that makes the index."""
        method = " USING gin" if is_postgresql(schema_editor.connection) else using
        return super().create_sql(model, schema_editor, using=method, **kwargs)


class IvfflatIndex(LongNameIndex):
    """pgvector's ivfflat, by cosine distance, over ``lists`` lists; nothing where the column is no ``vector``."""

    suffix = "ivf"

    def __init__(self, *, lists: int = 100, **kwargs: Any) -> None:
        self.lists = lists
        kwargs.setdefault("opclasses", ["vector_cosine_ops"])
        super().__init__(**kwargs)

    def deconstruct(self) -> tuple[str, Any, dict[str, Any]]:
        """Return what a migration writes."""
        path, expressions, kwargs = super().deconstruct()
        return path, expressions, {**kwargs, "lists": self.lists}

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        """Return the statement that makes the index, or a comment that says why there is none."""
        (column,) = (model._meta.get_field(name) for name, _order in self.fields_orders)
        kind = column.db_type(schema_editor.connection) or ""
        if not kind.startswith("vector"):
            # The schema editor executes whatever is returned, and both databases take a lone comment.
            return Statement(f"-- no index {self.name}: this database has no type vector (pgvector)")
        statement = super().create_sql(model, schema_editor, using=" USING ivfflat", **kwargs)
        return Statement(statement.template, **{**statement.parts, "extra": f" WITH (lists = {self.lists})"})
