"""A table ``book`` that is nobody's but the test's, and operations on it as ``migrate`` would run them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connection, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from integrity.dedupe import DedupeRule, Earliest

KEY = models.UniqueConstraint(fields=["isbn", "shelf"], name="one_per_shelf")
KEEP_OLDEST = DedupeRule(model="library.Book", fields=("isbn", "shelf"), keep=(Earliest("pages"),))

OUR_BOOKS = ("dedupeplan", "deduperun", "mirroredtable", "sidetable")
COLUMNS = "isbn varchar(20), shelf integer, title text, pages integer"


def make_table(name: str = "book", *, suffix: str = "") -> None:
    """Create the table as a stranger's SQL would."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name} (id integer NOT NULL, {COLUMNS}, PRIMARY KEY (id)) {suffix}")


def insert(*rows: tuple[Any, ...], table: str = "book") -> None:
    """Insert rows of (id, isbn, shelf, title, pages)."""
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s, %s, %s, %s)", rows)


def some_books(count: int, *, duplicates: int = 0) -> None:
    """Insert books with different keys, the first ``duplicates`` of them twice."""
    insert(*((n, f"isbn {n}", n % 7, "a title", n) for n in range(count)))
    insert(*((count + n, f"isbn {n}", n % 7, "a title", count + n) for n in range(duplicates)))


def ids(table: str = "book") -> list[int]:
    """The primary keys that are there."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {table} ORDER BY id")
        return [number for (number,) in cursor.fetchall()]


@cache
def _books_of_ours() -> ProjectState:
    """The state after our first migration, without the mirrored tables: rendering those takes long."""
    state = MigrationLoader(connection).project_state(("integrity", "0001_initial"))
    for app_label, name in list(state.models):
        if app_label != "integrity" or name not in OUR_BOOKS:
            state.remove_model(app_label, name)
    return state


def book_state(table: str = "book") -> ProjectState:
    """A project with our first migration and one model for the table."""
    state = _books_of_ours().clone()
    fields: list[tuple[str, models.Field[Any, Any]]] = [
        ("id", models.IntegerField(primary_key=True)),
        ("isbn", models.CharField(max_length=20, null=True)),
        ("shelf", models.IntegerField(null=True)),
        ("title", models.TextField(null=True)),
        ("pages", models.IntegerField(null=True)),
    ]
    state.add_model(ModelState("library", "Book", fields, {"db_table": table}))
    return state


@dataclass
class Change:
    """One operation on the model, on the alias ``default``."""

    operation: Operation
    table: str = "book"

    def __post_init__(self) -> None:
        self.before = book_state(self.table)
        self.after = self.before.clone()
        self.operation.state_forwards("library", self.after)

    def forwards(self, *, atomic: bool = False) -> None:
        """Apply it."""
        with connection.schema_editor(atomic=atomic) as editor:
            self.operation.database_forwards("library", editor, self.before, self.after)

    def backwards(self) -> None:
        """Reverse it."""
        with connection.schema_editor(atomic=False) as editor:
            self.operation.database_backwards("library", editor, self.after, self.before)

    def sql(self) -> str:
        """What ``sqlmigrate`` would print."""
        with connection.schema_editor(collect_sql=True, atomic=False) as editor:
            self.operation.database_forwards("library", editor, self.before, self.after)
        return "\n".join(editor.collected_sql)
