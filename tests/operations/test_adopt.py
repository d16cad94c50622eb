"""AdoptTable: a table that is there is taken as it is; a database that is somebody else's gets no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, migrations, models
from django.db.migrations.operations.models import CreateModel
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import OperationWriter

from integrity.models import MirroredTable
from integrity.operations import AdoptionRefused, AdoptTable
from integrity.operations.books import BooksMissing
from tests.databases import Database
from tests.operations.adopting import AS_THE_MODEL_SAYS, FIELDS, INDEXES, Adoption, a_book, tables
from tests.operations.owners import build


@pytest.fixture
def ours(database_at: Callable[[str], Database]) -> Database:
    """A database that holds our tables only."""
    return database_at("0001")


def make_book(database: Database, columns: str = AS_THE_MODEL_SAYS, *, indexes: str = INDEXES) -> None:
    build(database, f"CREATE TABLE book ({columns});", indexes)


def schema(database: Database) -> list[Any]:
    if database.vendor == "sqlite":
        return database.execute("SELECT type, name, sql FROM sqlite_master WHERE tbl_name = 'book' ORDER BY name")
    query = """
        SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns
        WHERE table_name = 'book' UNION ALL SELECT indexname, indexdef, '', '' FROM pg_indexes WHERE tablename = 'book'
        ORDER BY 1
    """
    return database.execute(query)


def notes(record: MirroredTable | None) -> list[str]:
    assert record is not None
    return list(record.details["notes"])


def test_a_table_that_is_there_is_adopted_and_not_touched(ours: Database) -> None:
    make_book(ours)
    before = schema(ours)

    record = Adoption(a_book(system="workflows")).forwards()

    assert record is not None
    assert (record.origin, record.system, notes(record)) == ("adopted", "workflows", [])
    assert schema(ours) == before


def test_a_table_that_is_not_there_is_created(ours: Database) -> None:
    record = Adoption().forwards()

    assert record is not None
    assert (record.origin, notes(record)) == ("created", [])
    assert "book" in tables()


def test_a_created_table_is_what_the_model_says(ours: Database) -> None:
    Adoption().forwards()

    assert notes(Adoption().forwards()) == []


def test_nothing_is_created_among_somebody_elses_tables(ours: Database) -> None:
    build(ours, "CREATE TABLE shelf (id integer)")
    before = tables()

    record = Adoption().forwards()

    assert record is not None
    assert record.origin == "absent"
    assert notes(record) == ["not created: this database holds somebody else's tables (shelf)"]
    assert tables() == before


def test_tables_of_other_apps_of_the_project_are_nobody_elses(ours: Database) -> None:
    build(ours, "CREATE TABLE shelf (id integer)")
    adoption = Adoption()
    other = CreateModel("Shelf", [("id", models.IntegerField(primary_key=True))], options={"db_table": "shelf"})
    other.state_forwards("furniture", adoption.after)

    record = adoption.forwards()

    assert record is not None
    assert record.origin == "created"


def test_every_difference_of_every_column_is_told_at_once_and_nothing_is_changed(ours: Database) -> None:
    make_book(ours, "id integer, pages varchar(5), shelf integer", indexes="")
    before = schema(ours), tables()

    with pytest.raises(AdoptionRefused) as refusal:
        Adoption().forwards()

    message = str(refusal.value)
    assert message.startswith('The table "book" cannot be adopted; nothing in it was changed.')
    assert 'isbn: the column is missing. Add it with ALTER TABLE "book" ADD COLUMN "isbn" varchar(13).' in message
    assert "title: the column is missing" in message
    assert "primary key: it is missing, the model needs (id). Make id the primary key." in message
    assert "note: shelf: the model does not know this column" in message
    assert message.endswith("INTEGRITY_SYSTEMS only the systems whose tables this database holds.")
    assert sorted(line.split(":")[1].strip() for line in message.splitlines() if "  error: " in line) == [
        "id",
        "isbn",
        "pages",
        "primary key",
        "title",
    ]
    assert (schema(ours), tables()) == before
    assert not MirroredTable.objects.filter(table="book").exists()


def test_a_column_that_the_operation_calls_optional_may_be_missing(ours: Database) -> None:
    make_book(ours, AS_THE_MODEL_SAYS.replace("title text,", ""), indexes="CREATE UNIQUE INDEX i ON book (isbn)")

    (column, index) = notes(Adoption(a_book(optional=["title"])).forwards())

    assert column.startswith("title: the column is missing. Add it with ALTER TABLE")
    assert index == "book_title: there is no index on (title)."


@pytest.mark.parametrize(
    ("columns", "note"),
    [
        (f"{AS_THE_MODEL_SAYS}, shelf integer", "shelf: the model does not know this column (integer)."),
        (
            f"{AS_THE_MODEL_SAYS}, shelf integer NOT NULL",
            "NOT NULL without a default: rows cannot be inserted through the model",
        ),
        (AS_THE_MODEL_SAYS.replace("(13) NOT NULL", "(13)"), "isbn: NULL is allowed, the model says NOT NULL"),
        (AS_THE_MODEL_SAYS.replace("title text", "title text NOT NULL"), "title: NULL is refused"),
        (
            AS_THE_MODEL_SAYS.replace("title text", "title text GENERATED ALWAYS AS (isbn) STORED"),
            "title: the database computes it: it is read only",
        ),
        (AS_THE_MODEL_SAYS.replace(" DEFAULT 1", ""), "pages: the database has no default for it"),
    ],
)
def test_what_differs_and_works_is_noted(ours: Database, columns: str, note: str) -> None:
    make_book(ours, columns)

    (found,) = notes(Adoption().forwards())

    assert note.casefold() in found.casefold()


def test_missing_indexes_and_constraints_are_noted(ours: Database) -> None:
    make_book(ours, indexes="")

    assert notes(Adoption().forwards()) == [
        "unique_isbn: nothing keeps (isbn) unique, as this constraint would.",
        "book_title: there is no index on (title).",
    ]


def test_a_partial_index_is_no_substitute_for_a_constraint(ours: Database) -> None:
    make_book(ours, indexes="CREATE UNIQUE INDEX i ON book (isbn) WHERE pages > 1; CREATE INDEX j ON book (title)")

    assert notes(Adoption().forwards()) == ["unique_isbn: nothing keeps (isbn) unique, as this constraint would."]


def test_foreign_keys_that_only_one_side_knows_are_noted(ours: Database) -> None:
    shelf = models.ForeignKey("integrity.CourseFile", models.DO_NOTHING, db_index=False, null=True)
    build(ours, "CREATE TABLE author (id uuid PRIMARY KEY)")
    make_book(ours, AS_THE_MODEL_SAYS.replace("id uuid", "id uuid REFERENCES author (id)") + ", shelf_id uuid")

    one, other = notes(Adoption(a_book(fields=[*FIELDS, ("shelf", shelf)])).forwards())

    assert one.startswith("id: the foreign key ")
    assert one.endswith("to author is unknown to the model.")
    assert other == "shelf_id: the database declares no foreign key to course_files."


def test_reversing_drops_a_table_that_was_created_here_with_its_rows(ours: Database) -> None:
    adoption = Adoption()
    adoption.forwards()
    key = "00000000000000000000000000000001"
    ours.execute(f"INSERT INTO book (id, isbn) VALUES ('{key}', 'x')")

    adoption.backwards()

    assert "book" not in tables()
    assert not MirroredTable.objects.filter(table="book").exists()


def test_reversing_never_drops_an_adopted_table(ours: Database) -> None:
    make_book(ours)
    adoption = Adoption()
    adoption.forwards()
    before = schema(ours)

    adoption.backwards()

    assert schema(ours) == before
    assert not MirroredTable.objects.filter(table="book").exists()


def test_reversing_never_drops_a_table_that_came_later_than_its_absence_was_recorded(ours: Database) -> None:
    build(ours, "CREATE TABLE shelf (id integer)")
    adoption = Adoption()
    adoption.forwards()
    make_book(ours)

    adoption.backwards()

    assert "book" in tables()


def test_reversing_goes_through_when_the_created_table_is_gone(ours: Database) -> None:
    adoption = Adoption()
    adoption.forwards()
    ours.execute("DROP TABLE book")

    adoption.backwards()

    assert not MirroredTable.objects.filter(table="book").exists()


def test_a_view_is_refused(ours: Database) -> None:
    build(ours, "CREATE VIEW book AS SELECT 1 AS id")

    with pytest.raises(AdoptionRefused, match='"book" is a view: only a table can be adopted'):
        Adoption().forwards()


def test_a_system_that_is_not_named_in_the_settings_is_left_alone(ours: Database, settings: Any) -> None:
    settings.INTEGRITY_SYSTEMS = ("files",)
    make_book(ours)

    assert Adoption(a_book(system="workflows")).forwards() is None


class NoBooks:
    """A router that keeps the app ``library`` out of every database."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if app_label == "library" else None


def test_the_router_is_respected_in_both_directions(ours: Database, settings: Any) -> None:
    adoption = Adoption()
    settings.DATABASE_ROUTERS = [NoBooks()]
    assert adoption.forwards() is None
    assert "book" not in tables()

    settings.DATABASE_ROUTERS = []
    adoption.forwards()
    settings.DATABASE_ROUTERS = [NoBooks()]
    adoption.backwards()

    assert "book" in tables()


def test_sqlmigrate_prints_both_directions_and_touches_nothing(ours: Database) -> None:
    adoption = Adoption()
    before = tables()

    assert 'CREATE TABLE "book"' in adoption.sql()
    assert 'DROP TABLE "book"' in adoption.sql(backwards=True)
    assert tables() == before
    assert not MirroredTable.objects.filter(table="book").exists()


def test_a_migration_that_does_not_depend_on_ours_is_told_so(ours: Database) -> None:
    adoption = Adoption()
    adoption.after = ProjectState()
    adoption.operation.state_forwards("library", adoption.after)

    with pytest.raises(BooksMissing, match=r"add \('integrity', '0001_initial'\) to its dependencies"):
        adoption.forwards()


def test_the_operation_says_what_it_does_and_can_be_written_down() -> None:
    operation = a_book(system="files", optional=["title"], extensions=["vector"])

    assert operation.describe() == ("Adopt or create the table of Book; reversing drops it only if it was created here")
    source, imports = OperationWriter(operation, indentation=0).serialize()
    assert source.startswith("integrity.operations.AdoptTable(\n")
    assert "system='files'" in source
    assert "import integrity.operations" in imports
    name, args, kwargs = operation.deconstruct()
    assert (name, args) == ("AdoptTable", [])
    assert AdoptTable(**kwargs).deconstruct() == operation.deconstruct()


def test_the_optimizer_never_folds_a_later_change_into_the_adoption() -> None:
    change = migrations.AddField("Book", "shelf", models.IntegerField(null=True))
    elsewhere = migrations.AddField("Author", "age", models.IntegerField(null=True))

    assert a_book().reduce(change, "library") is False
    assert a_book().reduce(migrations.DeleteModel("Book"), "library") is False
    assert a_book().reduce(elsewhere, "library") is True


def test_case_means_nothing_to_sqlite(databases: Any) -> None:
    database = databases.migrated("sqlite", "0001")
    columns = AS_THE_MODEL_SAYS.replace("uuid", "char(32)").upper()
    build(database, f"CREATE TABLE BOOK ({columns})", INDEXES.upper())

    record = Adoption().forwards()

    assert record is not None
    assert (record.origin, notes(record)) == ("adopted", [])
    assert connection.vendor == "sqlite"
