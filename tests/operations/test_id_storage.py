"""RepairIdStorage: what it cannot repair is refused in words, and nothing is changed."""

from __future__ import annotations

import pytest
from django.db import connection, models
from django.db.migrations.state import ModelState

from integrity.operations import OperationRefused, RepairIdStorage
from tests.databases import Database
from tests.operations.books import book_state


def test_a_table_without_rowids_is_refused(sqlite_database: Database) -> None:
    sqlite_database.execute("CREATE TABLE stamp (id UUID PRIMARY KEY) WITHOUT ROWID")
    state = book_state()
    state.add_model(ModelState("library", "Stamp", [("id", models.UUIDField(primary_key=True))], {"db_table": "stamp"}))

    with (
        pytest.raises(OperationRefused, match="WITHOUT ROWID"),
        connection.schema_editor(atomic=False) as editor,
    ):
        RepairIdStorage(model_names=["Stamp"]).database_forwards("library", editor, state, state)
