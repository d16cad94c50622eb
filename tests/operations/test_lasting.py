"""CreateLastingModel: a table of ours whose rows exist nowhere else outlives the way back."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, migrations, models
from django.db.migrations.state import ProjectState

from integrity.operations import CreateLastingModel
from tests.databases import Database

NOTE = CreateLastingModel(
    name="Note", fields=[("id", models.BigAutoField(primary_key=True)), ("text", models.TextField())]
)


class Notes:
    """One table of notes, made and unmade by the operation."""

    def __init__(self) -> None:
        self.before = ProjectState()
        self.after = self.before.clone()
        NOTE.state_forwards("tests", self.after)

    @property
    def rows(self) -> Any:
        return self.after.apps.get_model("tests", "Note")._default_manager.all()

    def forwards(self) -> None:
        with connection.schema_editor() as editor:
            NOTE.database_forwards("tests", editor, self.before, self.after)

    def backwards(self) -> None:
        with connection.schema_editor() as editor:
            NOTE.database_backwards("tests", editor, self.after, self.before)

    @property
    def is_there(self) -> bool:
        return "tests_note" in connection.introspection.table_names()


@pytest.fixture
def notes(empty_database: Database) -> Notes:
    return Notes()


def test_it_is_created_and_dropped_while_it_is_empty(notes: Notes) -> None:
    for _ in range(2):
        notes.forwards()
        assert notes.is_there
        notes.backwards()
        assert not notes.is_there


def test_it_stays_while_it_holds_rows_and_is_taken_up_with_them(notes: Notes) -> None:
    notes.forwards()
    notes.rows.create(text="nowhere else")

    notes.backwards()
    assert notes.is_there

    notes.forwards()
    assert notes.rows.get().pk
    notes.rows.all().delete()
    notes.backwards()
    assert not notes.is_there


def test_what_only_prints_touches_nothing(notes: Notes) -> None:
    with connection.schema_editor(collect_sql=True) as editor:
        NOTE.database_forwards("tests", editor, notes.before, notes.after)
        NOTE.database_backwards("tests", editor, notes.after, notes.before)

    assert [line.split(" ")[0] for line in editor.collected_sql] == ["CREATE", "DROP"]
    assert not notes.is_there


def test_later_operations_are_not_merged_into_it() -> None:
    later = migrations.AddField("Note", "more", models.TextField(null=True))

    assert NOTE.reduce(later, "tests") is False
