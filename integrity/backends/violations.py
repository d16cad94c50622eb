"""What a database says of a constraint that was violated, read by codes and names, never by its prose."""

from __future__ import annotations

from django.db import IntegrityError, connections

from integrity.backends.postgresql.violations import read as read_postgresql
from integrity.backends.sqlite.violations import read as read_sqlite
from integrity.backends.violation import Violation

_READ = {"postgresql": read_postgresql, "sqlite": read_sqlite}


def read_violation(error: IntegrityError, *, using: str) -> Violation:
    """Read the driver's error behind Django's. On PostgreSQL it may ask the catalogue, outside transactions only."""
    connection = connections[using]
    if error.__cause__ is None or connection.vendor not in _READ:
        return Violation(kind="other")
    return _READ[connection.vendor](error.__cause__, connection)
