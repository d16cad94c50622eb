"""Whether a column that is there can serve a field, whichever type its owner gave it."""

from __future__ import annotations

from typing import Any

from django.db import connections, models

from integrity.backends.postgresql import types as postgresql
from integrity.backends.sqlite import types as sqlite
from integrity.backends.typematch import TypeMatch

_COMPARE = {"postgresql": postgresql.compare_type, "sqlite": sqlite.compare_type}


def compare_type(*, field: models.Field[Any, Any], found: str, using: str) -> TypeMatch:
    """Compare a column's type, as the catalogue spells it, with what the field needs on this database.

    Raises:
        KeyError: the database is neither PostgreSQL nor SQLite; ``get_catalogue`` says so more kindly.
    """
    connection = connections[using]
    return _COMPARE[connection.vendor](field=field, found=found, connection=connection)
