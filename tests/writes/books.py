"""A model for one test: books, with whatever constraints the test wants, in a registry and a table of their own."""

from __future__ import annotations

from typing import Any

from django.apps.registry import Apps
from django.db import connection, models


def a_model_of_books(*constraints: models.BaseConstraint, **extra: Any) -> Any:
    """Create the table ``book`` and return its model, which points at ``shelf``; ``extra`` are more fields."""
    registry = Apps()

    class Shelf(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "library"
            apps = registry
            db_table = "shelf"

        def __str__(self) -> str:
            return self.name

    meta = type(
        "Meta", (), {"app_label": "library", "apps": registry, "db_table": "book", "constraints": list(constraints)}
    )
    fields = {
        "isbn": models.CharField(max_length=20, null=True),
        "title": models.CharField(max_length=40, default="untitled"),
        "edition": models.IntegerField(null=True),
        "seen": models.DateTimeField(null=True),
        "made": models.DateTimeField(auto_now_add=True),
        "changed": models.DateTimeField(auto_now=True),
        "shelf": models.ForeignKey(Shelf, models.CASCADE, null=True),
    }
    book = type("Book", (models.Model,), {"__module__": __name__, "Meta": meta, **fields, **extra})
    with connection.schema_editor() as editor:
        editor.create_model(Shelf)
        editor.create_model(book)
    return book
