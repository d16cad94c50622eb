"""The map of references: everything that points at rows of a table, known to Django or to the database alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps.registry import Apps
from django.db.models import ForeignKey as DjangoForeignKey

from integrity.backends import ForeignKey, get_catalogue, has_index_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Columns of a table that hold the key of a row of the target table.

    ``indexed`` tells whether looking up the rows that reference a given key is cheap.
    """

    table: str
    columns: tuple[str, ...]
    target_table: str
    target_columns: tuple[str, ...]
    indexed: bool


def references_to(table: str, *, apps: Apps, using: str) -> tuple[Reference, ...]:
    """Return every reference to a table, ordered by table and columns.

    Both sources count: foreign keys of models (whatever their manager, ``related_name`` or ``db_constraint``), and
    foreign keys in the catalogue, of tables that no model describes. A model whose table is absent has none.
    """
    catalogue = get_catalogue(using=using)
    tables = catalogue.tables()
    known = {(key.table, key.columns): key for key in catalogue.referencing(table)}
    for key in _of_models(table, apps):
        if key.table in tables:
            known.setdefault((key.table, key.columns), key)
    return tuple(
        Reference(
            table=key.table,
            columns=key.columns,
            target_table=table,
            target_columns=key.target_columns,
            indexed=has_index_on(catalogue.indexes(key.table), key.columns),
        )
        for _, key in sorted(known.items())
    )


def _of_models(table: str, apps: Apps) -> Iterator[ForeignKey]:
    """Foreign keys and one-to-ones of all models, hidden, automatic and unmanaged ones included."""
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if isinstance(field, DjangoForeignKey) and _table_of(field.remote_field.model) == table:
                yield ForeignKey(
                    name=None,
                    table=model._meta.db_table,
                    columns=(str(field.column),),
                    target_table=table,
                    target_columns=(str(field.target_field.column),),
                )


def _table_of(model: Any) -> str:
    return str(model._meta.concrete_model._meta.db_table)
