"""Runs AdoptTable as ``migrate`` would, on a table of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import connection, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from integrity.models import MirroredTable
from integrity.operations import AdoptTable

FIELDS: list[tuple[str, models.Field[Any, Any]]] = [
    ("id", models.UUIDField(primary_key=True)),
    ("isbn", models.CharField(max_length=13)),
    ("title", models.TextField(null=True)),
    ("pages", models.IntegerField(db_default=1)),
]
OPTIONS = {
    "db_table": "book",
    "indexes": [models.Index(fields=["title"], name="book_title")],
    "constraints": [models.UniqueConstraint(fields=["isbn"], name="unique_isbn")],
}

AS_THE_MODEL_SAYS = "id uuid PRIMARY KEY, isbn varchar(13) NOT NULL, title text, pages integer NOT NULL DEFAULT 1"
INDEXES = "CREATE UNIQUE INDEX of_another_name ON book (isbn); CREATE INDEX yet_another ON book (title);"


@dataclass
class Adoption:
    """One AdoptTable of an app ``library``, on the alias ``default``."""

    operation: AdoptTable = field(default_factory=lambda: a_book())

    def __post_init__(self) -> None:
        self.before: ProjectState = MigrationLoader(connection).project_state(("integrity", "0001_initial"))
        self.after = self.before.clone()
        self.operation.state_forwards("library", self.after)

    def forwards(self) -> MirroredTable | None:
        """Apply it and return what was recorded."""
        with connection.schema_editor() as editor:
            self.operation.database_forwards("library", editor, self.before, self.after)
        return MirroredTable.objects.filter(table="book").first()

    def backwards(self) -> None:
        """Reverse it."""
        with connection.schema_editor() as editor:
            self.operation.database_backwards("library", editor, self.after, self.before)

    def sql(self, *, backwards: bool = False) -> str:
        """What ``sqlmigrate`` would print."""
        with connection.schema_editor(collect_sql=True) as editor:
            if backwards:
                self.operation.database_backwards("library", editor, self.after, self.before)
            else:
                self.operation.database_forwards("library", editor, self.before, self.after)
        return "\n".join(editor.collected_sql)


def a_book(**kwargs: Any) -> AdoptTable:
    """An operation for the table ``book``."""
    return AdoptTable("Book", **{"fields": FIELDS, "options": OPTIONS, **kwargs})


def tables() -> set[str]:
    """What is in the database now."""
    return set(connection.introspection.table_names(include_views=True))
