"""No migration of ours lets Django alter a mirrored table: on SQLite it would rebuild it, behind the owner's back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db.migrations import SeparateDatabaseAndState
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import FieldOperation
from django.db.migrations.operations.models import CreateModel, IndexOperation, ModelOperation

from integrity.operations import AdoptTable


def schema_operations_of_django(operations: Iterable[Operation]) -> Iterator[tuple[str, str]]:
    """Yield name and model of each; what only changes the state alters no table."""
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from schema_operations_of_django(operation.database_operations)
        elif type(operation).__module__.startswith("django."):
            if isinstance(operation, FieldOperation | IndexOperation):
                yield type(operation).__name__, getattr(operation, "model_name", "").lower()
            elif isinstance(operation, ModelOperation) and not isinstance(operation, CreateModel):
                yield type(operation).__name__, operation.name.lower()


def test_django_alters_no_mirrored_table() -> None:
    migrations = [m for (app, _), m in MigrationLoader(None).disk_migrations.items() if app == "integrity"]
    mirrored = {o.name_lower for m in migrations for o in m.operations if isinstance(o, AdoptTable)}

    found = [
        (migration.name, *operation)
        for migration in migrations
        for operation in schema_operations_of_django(migration.operations)
        if operation[1] in mirrored
    ]

    assert len(mirrored) == 14
    assert found == []
