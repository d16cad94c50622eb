"""The register of mirrored tables, as operations write it: through the registry that they are handed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.apps.registry import Apps
from django.db import models

from integrity.exceptions import IntegrityAppError

CREATED, ADOPTED, ABSENT = "created", "adopted", "absent"


class BooksMissing(IntegrityAppError):
    """A migration uses an operation of ours without depending on our first migration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the register says of one table."""

    table: str
    origin: str
    notes: tuple[str, ...]


class Register:
    """Which tables of one database were created by us, adopted, or left absent."""

    def __init__(self, *, apps: Apps, using: str) -> None:
        """Take the registry of a migration's state.

        Raises:
            BooksMissing: the register is not part of that state.
        """
        try:
            model = apps.get_model("integrity", "MirroredTable")
        except LookupError:
            raise BooksMissing(
                "This migration uses an operation of integrity: add ('integrity', '0001_initial') to its dependencies."
            ) from None
        self._rows: models.QuerySet[Any] = model._default_manager.using(using)

    def origin(self, table: str) -> str | None:
        """Return how the table came to be, or None where it is not known here."""
        return self._rows.filter(table=table).values_list("origin", flat=True).first()

    def created(self) -> frozenset[str]:
        """Return the tables that we created."""
        return frozenset(self._rows.filter(origin=CREATED).values_list("table", flat=True))

    def entries(self, tables: Sequence[str]) -> list[Entry]:
        """Return what is known of these tables, in their order."""
        rows = {row.table: row for row in self._rows.filter(table__in=tables)}
        return [
            Entry(table=name, origin=rows[name].origin, notes=tuple(rows[name].details.get("notes", ())))
            for name in tables
            if name in rows
        ]

    def record(self, *, table: str, system: str, origin: str, notes: Sequence[str] = ()) -> None:
        """Enter the table, or replace what was entered before."""
        values = {"system": system, "origin": origin, "details": {"notes": list(notes)}}
        self._rows.update_or_create(table=table, defaults=values)

    def forget(self, table: str) -> None:
        """Strike the table out."""
        self._rows.filter(table=table).delete()
