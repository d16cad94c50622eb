"""What adoption decided, printed at the end of ``migrate`` on the command's own output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.apps.registry import Apps
from django.core.management.base import OutputWrapper
from django.db.migrations import Migration
from django.db.models.signals import post_migrate

from integrity.operations.adopt import AdoptTable
from integrity.operations.books import ABSENT, ADOPTED, Entry, Register


def report_adoption(
    sender: AppConfig,
    *,
    using: str,
    verbosity: int = 1,
    stdout: OutputWrapper | None = None,
    apps: Apps | None = None,
    plan: Sequence[tuple[Migration, bool]] = (),
    **_: Any,
) -> None:
    """Print what became of the tables that this run of ``migrate`` adopted, created or left out."""
    if verbosity < 1 or stdout is None or apps is None:
        return
    adoptions = [
        (operation, apps.get_model(sender.label, operation.name))
        for migration, backwards in plan
        if migration.app_label == sender.label and not backwards
        for operation in migration.operations
        if isinstance(operation, AdoptTable)
    ]
    # A database that the router keeps these tables out of has no register either.
    tables = [model._meta.db_table for operation, model in adoptions if operation.allow_migrate_model(using, model)]
    if tables:
        for line in adoption_lines(Register(apps=apps, using=using).entries(tables)):
            stdout.write(line)


def adoption_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the lines of the report; created tables are what one expects, and get none."""
    entries = list(entries)
    adopted = [entry for entry in entries if entry.origin == ADOPTED]
    absent = [entry for entry in entries if entry.origin == ABSENT]
    if adopted:
        yield f"  Adopted as they are, nothing changed: {_names(adopted)}"
    for entry in adopted:
        yield from (f"    {entry.table}: {note}" for note in entry.notes)
    for reason in dict.fromkeys(note for entry in absent for note in entry.notes):
        yield f"  Left out: {_names(entry for entry in absent if reason in entry.notes)}"
        yield f"    {reason}"
    for entry in entries:
        if entry not in adopted and entry not in absent:
            yield from (f"  {entry.table}: {note}" for note in entry.notes)


def _names(entries: Iterable[Entry]) -> str:
    return ", ".join(entry.table for entry in entries)


# Migrations import this package, so `migrate` has the receiver exactly when it can be needed.
post_migrate.connect(report_adoption, dispatch_uid="integrity.operations.report")
