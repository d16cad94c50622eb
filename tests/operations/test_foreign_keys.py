"""What changing a foreign key makes of the state that later migrations see."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.migrations.state import ModelState, ProjectState

from integrity.models.fields import ForeignKeyConstraint
from integrity.operations import AlterForeignKeyOnDelete


def test_the_state_follows_for_the_foreign_key_of_that_name_alone() -> None:
    author = ForeignKeyConstraint(field="author", name="book_author", on_delete="RESTRICT")
    shelf = ForeignKeyConstraint(field="shelf", name="book_shelf", on_delete="RESTRICT")
    positive: Any = models.CheckConstraint(condition=models.Q(id__gt=0), name="positive")
    options = {"constraints": [author, positive, shelf]}
    state = ProjectState()
    state.add_model(ModelState("library", "Book", [("id", models.BigAutoField(primary_key=True))], options))

    AlterForeignKeyOnDelete("Book", "book_author", on_delete="CASCADE", before="RESTRICT").state_forwards(
        "library", state
    )

    changed = ForeignKeyConstraint(field="author", name="book_author", on_delete="CASCADE")
    assert state.models["library", "book"].options["constraints"] == [changed, positive, shelf]
