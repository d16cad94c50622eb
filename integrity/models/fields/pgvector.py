"""Vectors in pgvector's own type, where the extension is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.models.fields.vector import STORED, MalformedVector, NoneOnly, Vector, checked, decoded
from integrity.models.fields.vendor import is_postgresql

if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
else:
    _Field = models.Field


class PgVectorField(_Field):
    """``vector(n)`` where the database has pgvector's type, else ``real[]``; a BLOB on SQLite. Reads as numpy.

    Values travel as arrays of float8: PostgreSQL assigns those to ``real[]``, and pgvector's casts to ``vector``.
    """

    description = "Vector of %(dimensions)s float32 numbers"
    empty_values = NoneOnly()
    empty_strings_allowed = False

    def __init__(self, *args: Any, dimensions: int, **kwargs: Any) -> None:
        self.dimensions = dimensions
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """Return what a migration writes."""
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("editable", None)
        if self.editable:
            kwargs["editable"] = True
        return name, path, list(args), {**kwargs, "dimensions": self.dimensions}

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Ask the database whether it has the type ``vector``, and name the column's type accordingly."""
        if not is_postgresql(connection):
            return "BLOB"
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regtype('vector') IS NOT NULL")
            (has_vector,) = cursor.fetchone()
        return f"vector({self.dimensions})" if has_vector else "real[]"

    def from_db_value(
        self, value: Any, _expression: Any, _connection: BaseDatabaseWrapper
    ) -> Vector | MalformedVector | None:
        """Return the stored vector, whichever of the three types held it."""
        if value is None:
            return None
        if isinstance(value, bytes | memoryview):
            return decoded(value, dimensions=self.dimensions)
        numbers = json.loads(value) if isinstance(value, str) else value
        return np.asarray(numbers, dtype=np.float32)

    def get_prep_value(self, value: Any) -> Vector | None:
        """Return the array to be stored.

        Raises:
            InvalidVector: the value is no vector of this field.
        """
        value = super().get_prep_value(value)
        return None if value is None else checked(value, dimensions=self.dimensions, field=str(self))

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        """Return a list for PostgreSQL, bytes for SQLite.

        Raises:
            InvalidVector: the value is no vector of this field.
        """
        vector = value if prepared else self.get_prep_value(value)
        if vector is None:
            return None
        return vector.tolist() if is_postgresql(connection) else vector.astype(STORED).tobytes()

    def to_python(self, value: Any) -> Any:
        """Return an array for the JSON text of a fixture; anything else as it is."""
        return np.asarray(json.loads(value), dtype=np.float32) if isinstance(value, str) else value

    def value_to_string(self, obj: models.Model) -> str:
        """Return the numbers as JSON text, for fixtures."""
        return json.dumps(np.asarray(self.value_from_object(obj), dtype=np.float32).tolist())
