"""Which declared types of SQLite can serve which field.

SQLite stores any value in any column; what a declared type decides is its affinity, that is, which values are
converted on their way in (https://www.sqlite.org/datatype3.html, 3.1). A column serves a field if none of the
field's values can be changed by that.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.typematch import SAME, TypeMatch, fails, kind_of, works

_AFFINITIES = (
    ("INTEGER", ("INT",)),
    ("TEXT", ("CHAR", "CLOB", "TEXT")),
    ("BLOB", ("BLOB",)),
    ("REAL", ("REAL", "FLOA", "DOUB")),
)

NUMBERS = frozenset(("INTEGER", "REAL", "NUMERIC"))
"""The affinities that make a number of a text that looks like one."""

_SERVES = {
    "BinaryField": {"BLOB"},
    "PgVectorField": {"BLOB"},
    "IntegerField": {"INTEGER", "NUMERIC"},
    "FloatField": {"REAL", "NUMERIC"},
    "DecimalField": {"NUMERIC", "REAL"},
    "BooleanField": {"NUMERIC", "INTEGER"},
    "DateTimeField": {"NUMERIC", "TEXT"},
    "DateField": {"NUMERIC", "TEXT"},
    "TimeField": {"NUMERIC", "TEXT"},
    "JSONField": {"TEXT", "NUMERIC"},
}
"""Affinities that leave the field's values as they are; of a kind that is not listed, those of its own type."""

_TOLERATES = {
    "BinaryField": {"TEXT", "NUMERIC", "INTEGER", "REAL"},
    "PgVectorField": {"TEXT", "NUMERIC", "INTEGER", "REAL"},
    "IntegerField": {"BLOB"},
    "FloatField": {"INTEGER", "BLOB"},
    "DecimalField": {"INTEGER"},
    "BooleanField": {"BLOB"},
    "DateTimeField": {"BLOB"},
}
"""Affinities that are unusual for the field and still change nothing."""


def affinity(declared: str) -> str:
    """Return the affinity that SQLite derives from a declared type."""
    spelling = declared.upper()
    if not spelling:
        return "BLOB"
    return next((name for name, parts in _AFFINITIES if any(part in spelling for part in parts)), "NUMERIC")


def compare_type(*, field: models.Field[Any, Any], found: str, connection: BaseDatabaseWrapper) -> TypeMatch:
    """Compare by affinity; lengths and spellings mean nothing to SQLite."""
    kind, wanted = kind_of(field), field.db_type(connection) or ""
    actual = affinity(found)
    differs = f"the declared type is {found or 'missing'}, the model says {wanted}"
    if actual in _SERVES.get(kind, {affinity(wanted)}):
        return SAME
    if actual in _TOLERATES.get(kind, ()):
        return works(differs)
    if affinity(wanted) == "TEXT" and actual == "NUMERIC":
        return works(f"{differs}: {_danger(kind, found)}")
    if affinity(wanted) == "TEXT" and actual == "BLOB":
        return works(f"{differs}: ids must be 32 hex digits there, not 16 bytes" if kind == "UUIDField" else differs)
    return fails(differs)


def _danger(kind: str, found: str) -> str:
    values = "ids whose hex digits look like a number" if kind == "UUIDField" else "texts that look like a number"
    return f"{found} has NUMERIC affinity, so that {values} are stored as REAL or Inf and lost"
