"""Words that all stories use."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from integrity.backends import get_catalogue
from integrity.models import DedupeRun
from tests.commands import CommandResult

Call = Callable[..., CommandResult]


def put(table: str, **values: Any) -> str:
    """Insert one row as its owner's code would, and return its id."""
    row = {"id": uuid.uuid4(), **values}
    marks = ", ".join(["%s"] * len(row))
    names = ", ".join(f'"{name}"' for name in row)
    with connection.cursor() as cursor:
        cursor.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', [_stored(v) for v in row.values()])
    return str(_stored(row["id"]))


def _stored(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return value.hex if connection.vendor == "sqlite" else value
    return json.dumps(value) if isinstance(value, dict) else value


def column(table: str, name: str) -> list[Any]:
    """All values of one column, sorted."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT "{name}" FROM "{table}" ORDER BY 1')
        return [value for (value,) in cursor.fetchall()]


def indexes(table: str) -> set[str]:
    """The names of a table's valid indexes, those of constraints included, without its primary key's."""
    return {i.name for i in get_catalogue(using="default").indexes(table) if i.valid and not i.primary}


def unique_keys(table: str) -> list[tuple[str | None, ...]]:
    """The columns of each valid unique index but the primary key's."""
    found = get_catalogue(using="default").indexes(table)
    return sorted((i.columns for i in found if i.valid and i.unique and not i.primary), key=str)


def migrate(call: Call, to: str) -> str:
    """Migrate and return what was said."""
    result = call("migrate", "integrity", to)
    assert result.code == 0, result.err
    return result.out


def undo_everything(call: Call) -> None:
    """Undo every run, the last one first."""
    for run in DedupeRun.objects.order_by("-pk"):
        result = call("undo_dedupe", str(run.pk), "--no-input")
        assert result.code == 0, result.err + result.out


def assert_refused(table: str, **values: Any) -> None:
    """The database itself does not take this row."""
    with pytest.raises(IntegrityError), transaction.atomic():
        put(table, **values)
