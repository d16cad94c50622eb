"""Which PostgreSQL types can stand for one another."""

from __future__ import annotations

import re
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.typematch import SAME, TypeMatch, fails, works

_FAMILIES = {
    "character varying": "text",
    "varchar": "text",
    "character": "text",
    "text": "text",
    "citext": "text",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "real": "number",
    "double precision": "number",
    "numeric": "number",
    "json": "json",
    "jsonb": "json",
    "timestamp without time zone": "time",
    "timestamp with time zone": "time",
    "text[]": "text[]",
    "character varying[]": "text[]",
    "vector": "vector",
    "real[]": "vector",
    "double precision[]": "vector",
}

_SPELLINGS = {"varchar": "character varying", "char": "character", "timestamp": "timestamp without time zone"}

_REMARKS = {
    ("timestamp with time zone", "timestamp without time zone"): "values are read without a time zone",
    ("timestamp without time zone", "timestamp with time zone"): "values are read in UTC, without their time zone",
    ("jsonb", "json"): "json has no equality: it cannot be compared, grouped or indexed",
}


def compare_type(*, field: models.Field[Any, Any], found: str, connection: BaseDatabaseWrapper) -> TypeMatch:
    """Compare by family: types of one family work and are remarked upon, others do not work."""
    wanted = field.db_type(connection) or ""
    expected, expected_size = _parsed(wanted)
    actual, actual_size = _parsed(found)
    if (expected, expected_size) == (actual, actual_size):
        return SAME
    if expected == actual:
        return works(f"the type is {found}, the model says {wanted}")
    if _family(expected) == _family(actual):
        remark = _REMARKS.get((expected, actual))
        return works(f"the type is {found}, the model says {wanted}" + (f": {remark}" if remark else ""))
    if _family(expected) == "text" and _is_enum(found, connection):
        return works(f"the type is the enum {found}: only its labels can be written")
    return fails(f"the type is {found}, the model needs {wanted}")


def _parsed(spelling: str) -> tuple[str, str]:
    """Split ``schema.numeric(3, 2)[]`` into its bare name and its size: ("numeric[]", "3,2")."""
    size = "".join(re.findall(r"\(([^)]*)\)", spelling)).replace(" ", "")
    name = re.sub(r"\([^)]*\)", "", spelling)
    name = re.sub(r"\s+", " ", name).strip().lower().rpartition(".")[2]
    base = name.removesuffix("[]")
    return _SPELLINGS.get(base, base) + name[len(base) :], size


def _family(name: str) -> str:
    return _FAMILIES.get(name, name)


def _is_enum(found: str, connection: BaseDatabaseWrapper) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_catalog.pg_type WHERE oid = to_regtype(%s) AND typtype = 'e'", [found])
        return cursor.fetchone() is not None
