"""A catalogue that asks each question once: for work that reads much of it and changes none of what it describes."""

from __future__ import annotations

from functools import cache

from integrity.backends.base import Catalogue, Column, ForeignKey, Index


class RememberedCatalogue:
    """Answers of another catalogue, as they were when first asked. Side tables made meanwhile do not show."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._tables = cache(catalogue.tables)
        self._name_of = cache(catalogue.name_of)
        self._columns = cache(catalogue.columns)
        self._primary_key = cache(catalogue.primary_key)
        self._indexes = cache(catalogue.indexes)
        self._foreign_keys = cache(catalogue.foreign_keys)
        self._referencing = cache(catalogue.referencing)
        self._triggers = cache(catalogue.triggers)
        self._hindrance = cache(catalogue.hindrance)
        self._row_estimate = cache(catalogue.row_estimate)

    def tables(self) -> frozenset[str]:
        return self._tables()

    def name_of(self, table: str) -> str:
        return self._name_of(table)

    def columns(self, table: str) -> tuple[Column, ...]:
        return self._columns(table)

    def primary_key(self, table: str) -> tuple[str, ...]:
        return self._primary_key(table)

    def indexes(self, table: str) -> tuple[Index, ...]:
        return self._indexes(table)

    def foreign_keys(self, table: str) -> tuple[ForeignKey, ...]:
        return self._foreign_keys(table)

    def referencing(self, table: str) -> tuple[ForeignKey, ...]:
        return self._referencing(table)

    def triggers(self, table: str) -> tuple[str, ...]:
        return self._triggers(table)

    def hindrance(self, table: str) -> str:
        return self._hindrance(table)

    def row_estimate(self, table: str) -> int:
        return self._row_estimate(table)
