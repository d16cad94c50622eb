"""The schema editor for SQLite answers for the tables that it made, and for no others."""

from __future__ import annotations

import pytest
from django.apps.registry import Apps
from django.db import IntegrityError, connection, models

from tests.databases import Database

pytestmark = pytest.mark.sqlite


@pytest.fixture
def adopted(sqlite_database: Database) -> Database:
    """A database with an orphan from long before."""
    sqlite_database.execute("CREATE TABLE parent (id integer PRIMARY KEY)")
    sqlite_database.execute("CREATE TABLE child (id integer PRIMARY KEY, parent_id integer REFERENCES parent (id))")
    sqlite_database.execute("INSERT INTO child VALUES (1, 77)")
    return sqlite_database


def make_models() -> tuple[type[models.Model], type[models.Model]]:
    class Meta:
        apps = Apps()
        app_label = "tests"

    parent = type("Parent", (models.Model,), {"__module__": __name__, "Meta": type("Meta", (Meta,), {})})
    fields = {
        "__module__": __name__,
        "parent": models.ForeignKey(parent, on_delete=models.CASCADE),
        "Meta": type("Meta", (Meta,), {}),
    }
    return parent, type("Child", (models.Model,), fields)


def test_an_orphan_from_before_does_not_disturb(adopted: Database) -> None:
    parent, child = make_models()

    with connection.schema_editor() as editor:
        editor.create_model(parent)
        editor.create_model(child)

    assert "tests_child" in connection.introspection.table_names()
    assert adopted.execute("SELECT * FROM child") == [(1, 77)]


def test_an_orphan_in_a_new_table_fails_the_migration_and_undoes_it(adopted: Database) -> None:
    parent, child = make_models()

    def migrate() -> None:
        with connection.schema_editor(atomic=True) as editor:
            editor.create_model(parent)
            editor.create_model(child)
            editor.execute("INSERT INTO tests_child (id, parent_id) VALUES (1, 5)")

    with pytest.raises(IntegrityError, match="tests_child"):
        migrate()

    assert not connection.in_atomic_block
    assert "tests_child" not in connection.introspection.table_names()


def test_an_orphan_in_a_rebuilt_table_fails_the_migration(adopted: Database) -> None:
    parent, child = make_models()
    with connection.schema_editor() as editor:
        editor.create_model(parent)
        editor.create_model(child)
    adopted.execute("INSERT INTO tests_child (id, parent_id) VALUES (1, 5)")
    field = models.IntegerField(default=3)
    field.set_attributes_from_name("size")

    with pytest.raises(IntegrityError, match="tests_child"), connection.schema_editor(atomic=True) as editor:
        editor.add_field(child, field)


def test_an_error_inside_leaves_foreign_keys_enforced(adopted: Database) -> None:
    parent, _ = make_models()

    def migrate() -> None:
        with connection.schema_editor(atomic=True) as editor:
            editor.create_model(parent)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        migrate()

    assert "tests_parent" not in connection.introspection.table_names()
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_a_table_made_and_dropped_again_is_not_asked_for(adopted: Database) -> None:
    parent, _ = make_models()

    with connection.schema_editor() as editor:
        editor.create_model(parent)
        editor.delete_model(parent)

    assert "tests_parent" not in connection.introspection.table_names()
