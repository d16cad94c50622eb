"""PostgreSQL's text types that SQLite has to do without."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.models.fields.vendor import is_postgresql

if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
else:
    _Field = models.Field


class TextArrayField(_Field):
    """``text[]``; a JSON array as text on SQLite. Gives and takes lists of strings."""

    description = "List of texts"
    empty_strings_allowed = False

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Name the column's type."""
        return "text[]" if is_postgresql(connection) else "text"

    def from_db_value(
        self, value: list[str] | str | None, _expression: Any, _connection: BaseDatabaseWrapper
    ) -> list[str] | None:
        """Return the stored list."""
        return self.to_python(value)

    def to_python(self, value: Any) -> list[str] | None:
        """Return a list for a list, a tuple or JSON text."""
        if value is None:
            return None
        return list(json.loads(value) if isinstance(value, str) else value)

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        """Return a list for PostgreSQL, JSON text for SQLite."""
        value = self.to_python(value if prepared else self.get_prep_value(value))
        return value if value is None or is_postgresql(connection) else json.dumps(value)

    def value_to_string(self, obj: models.Model) -> str:
        """Return JSON text, for fixtures."""
        return json.dumps(self.value_from_object(obj))

    def formfield(self, **kwargs: Any) -> Any:
        """Return a form field that shows and reads JSON."""
        return super().formfield(**{"form_class": forms.JSONField, **kwargs})


class SearchVectorField(_Field):
    """``tsvector``, as its text; plain text on SQLite. The database computes it: forms do not offer it."""

    description = "Text prepared for full text search"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """Return what a migration writes."""
        name, path, args, kwargs = super().deconstruct()
        del kwargs["editable"]
        return name, path, list(args), kwargs

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Name the column's type."""
        return "tsvector" if is_postgresql(connection) else "text"
