"""What must hold after any merge, found out without the engine's own map of references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import models

from integrity.backends import get_catalogue
from integrity.models import SideTable
from tests.ponies.merging import rows_of
from tests.properties.herds import Herd, Rows

FOREIGN = [
    ("ponies_trace", "pony", "ponies_pony", "id"),
    ("ponies_ledger", 'a "pony" id', "ponies_pony", "id"),
]
"""References that no model knows."""


def contents(herd: Herd) -> Herd:
    """What the tables of a herd hold now."""
    return {table: rows_of(table) for table in herd}


def facts(rows: Rows) -> Counter[str]:
    """The rows as a multiset. SQLite's own columns of truth values say so, their copies in quarantine say 0 and 1."""
    plain = ({name: int(v) if isinstance(v, bool) else v for name, v in row.items()} for row in rows)
    return Counter(repr(sorted(row.items())) for row in plain)


def rebuilt(after: Herd) -> Herd:
    """What the tables held before, from what they hold now, the quarantine, and the noted changes."""
    return {table: [*_with_old_values(table, rows), *_quarantined(table, rows)] for table, rows in after.items()}


def _with_old_values(table: str, rows: Rows) -> Rows:
    pk = get_catalogue(using="default").primary_key(table)
    by_pk = {tuple(row[name] for name in pk): dict(row) for row in rows}
    for side in SideTable.objects.filter(kind="changes", table=table):
        for change in rows_of(side.name):
            row = next(row for key, row in by_pk.items() if key == tuple(change[f"pk{n + 1}"] for n in range(len(pk))))
            column = side.columns[-1][0]
            assert row[column] == change["new"], "nobody else changed it"
            row[column] = change["old"]
    return list(by_pk.values())


def _quarantined(table: str, rows: Rows) -> Iterator[dict[str, Any]]:
    for side in SideTable.objects.filter(kind="quarantine", table=table):
        names = [name for name, _ in side.columns]
        for row in rows_of(side.name):
            yield {name: row[name] for name in names}


def dangling(herd: Herd) -> set[tuple[str, str, Any]]:
    """Each reference to a row that is not there: table, column, value."""
    found = set()
    for table, column, target, target_column in (*FOREIGN, *_of_models(herd)):
        known = {row[target_column] for row in herd.get(target, ())}
        values = {row[column] for row in herd.get(table, ())} - {None}
        found |= {(table, column, value) for value in values - known}
    return found | _dangling_generic(herd)


def _of_models(herd: Herd) -> Iterator[tuple[str, str, str, str]]:
    for model in apps.get_app_config("ponies").get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if not isinstance(field, models.ForeignKey) or model._meta.proxy:
                continue
            target: Any = field.remote_field.model
            table = target._meta.concrete_model._meta.db_table
            if table in herd:
                yield model._meta.db_table, str(field.column), table, str(field.target_field.column)


def _dangling_generic(herd: Herd) -> set[tuple[str, str, Any]]:
    tables = {row.pk: apps.get_model("ponies", row.model) for row in ContentType.objects.filter(app_label="ponies")}
    found = set()
    for table, type_column, id_column in (
        ("ponies_label", "content_type_id", "object_id"),
        ("ponies_remark", "about_type_id", "about_id"),
    ):
        for row in herd.get(table, ()):
            target = tables[row[type_column]]._meta.db_table
            if row[id_column] not in {type(row[id_column])(one["id"]) for one in herd[target]}:
                found.add((table, target, row[id_column]))
    return found
