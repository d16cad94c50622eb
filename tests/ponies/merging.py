"""Merge duplicates of a hostile model, and look at what became of the rows."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models import Model

from integrity.dedupe import DedupeRule, Pace, RunSummary, apply_plan, make_plan
from integrity.models import SideTable
from tests.ponies.models import Pony

ONE_NAME = DedupeRule(model="ponies.Pony", fields=("name",))
"""The rule of most tests."""


def merge(rule: DedupeRule, *, batch_size: int | None = None, connections: int = 1) -> RunSummary:
    """Plan and apply a rule on ``default``; SQLite has one connection."""
    plan = make_plan(rule, apps=apps, using="default")
    pace = Pace(connections=connections if connection.vendor == "postgresql" else 1)
    return apply_plan(plan.id, rule, apps=apps, using="default", batch_size=batch_size, pace=pace)


def twins(**second: Any) -> tuple[Pony, Pony]:
    """Two ponies of one name; the first one survives, ``second`` is more of the other."""
    first = Pony.all_objects.create(pk=1, name="Misty", code="m1")
    return first, Pony.all_objects.create(pk=2, name="Misty", **({"code": "m2"} | second))


def quarantined(table: str) -> list[dict[str, Any]]:
    """The rows that runs removed from a table, with the columns that quarantine adds."""
    return [row for side in SideTable.objects.filter(kind="quarantine", table=table) for row in rows_of(side.name)]


def changes(table: str, column: str) -> list[tuple[Any, Any]]:
    """Each old and new value that runs noted for a column."""
    kept = SideTable.objects.filter(kind="changes", table=table)
    noted = [row for side in kept if side.columns[-1][0] == column for row in rows_of(side.name)]
    return [(row["old"], row["new"]) for row in noted]


def rows_of(table: str) -> list[dict[str, Any]]:
    """Every row of a table, by column name, as the database has it."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM "{table}"')
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def column(model: type[Model] | str, name: str) -> list[Any]:
    """One column of every row of a model or table, in the order of its values."""
    table = model if isinstance(model, str) else model._meta.db_table
    return sorted((row[name] for row in rows_of(table)), key=repr)
