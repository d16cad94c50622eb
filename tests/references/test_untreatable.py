"""Tables that are left alone: statements on them would not mean their own rows, all of them and no others."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

from integrity.dedupe import DedupeRule, InvalidRule, make_plan
from integrity.dedupe.tables import UntreatableTable
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, twins
from tests.ponies.models import Colour, Dye

NOTES = DedupeRule(model="ponies.OldNote", fields=("text",))
"""A rule for a table that no other references."""


def refused(rule: DedupeRule, words: str) -> None:
    with pytest.raises(UntreatableTable, match=words):
        make_plan(rule, apps=apps, using="default")


def replace_notes(ponies: Database, *statements: str) -> None:
    ponies.execute("DROP TABLE ponies_oldnote")
    for statement in statements:
        ponies.execute(statement)


@pytest.mark.parametrize(("parent", "rule"), [("ponies_oldnote", NOTES), ("ponies_brain", ONE_NAME)])
def test_a_table_that_shows_the_rows_of_its_heirs(postgres_ponies: Database, parent: str, rule: DedupeRule) -> None:
    postgres_ponies.execute(f"CREATE TABLE heir (more text) INHERITS ({parent})")

    refused(rule, f"{parent}'.* is inherited by heir")


def test_a_table_that_inherits_has_rows_of_its_own(postgres_ponies: Database) -> None:
    replace_notes(
        postgres_ponies,
        "CREATE TABLE notes (id bigint, pony_id bigint, text text)",
        "CREATE TABLE ponies_oldnote (PRIMARY KEY (id)) INHERITS (notes)",
        "INSERT INTO ponies_oldnote VALUES (1, 1, 'same'), (2, 1, 'same')",
    )

    assert make_plan(NOTES, apps=apps, using="default").redundant == 1


@pytest.mark.parametrize("target", ["ponies_oldnote", "notes_one"])
def test_a_foreign_key_that_knows_only_one_partition(postgres_ponies: Database, target: str) -> None:
    replace_notes(
        postgres_ponies,
        "CREATE TABLE ponies_oldnote (id bigint, pony_id bigint, text text, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE notes_one PARTITION OF ponies_oldnote FOR VALUES FROM (1) TO (10)",
        "CREATE TABLE notes_two PARTITION OF ponies_oldnote FOR VALUES FROM (10) TO (20)",
        "INSERT INTO ponies_oldnote VALUES (1, 1, 'same'), (2, 1, 'same')",
        f"CREATE TABLE reply (id bigint PRIMARY KEY, note bigint REFERENCES {target} ON DELETE CASCADE)",
        "INSERT INTO reply VALUES (1, 2)",
    )

    if target == "notes_one":
        refused(NOTES, r"another level of its partitions: reply_note_fkey of reply \(to notes_one\)")
    else:
        plan = make_plan(NOTES, apps=apps, using="default")
        assert {r.table: r.repointed for r in plan.references}["reply"] == 1


def test_a_partition_whose_parent_is_referenced(postgres_ponies: Database) -> None:
    replace_notes(
        postgres_ponies,
        "CREATE TABLE notes (id bigint, pony_id bigint, text text, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE ponies_oldnote PARTITION OF notes FOR VALUES FROM (1) TO (10)",
        "CREATE TABLE reply (id bigint PRIMARY KEY, note bigint REFERENCES notes ON DELETE CASCADE)",
    )

    refused(NOTES, r"reply_note_fkey of reply \(to notes\)")


@pytest.mark.parametrize(("hidden", "rule"), [("ponies_oldnote", NOTES), ("ponies_brain", ONE_NAME)])
def test_a_table_whose_rows_are_hidden_from_this_role(postgres_ponies: Database, hidden: str, rule: DedupeRule) -> None:
    twins()
    postgres_ponies.execute(f"ALTER TABLE {hidden} ENABLE ROW LEVEL SECURITY")
    assert make_plan(rule, apps=apps, using="default").references is not None, "its owner sees all"
    for what in ("ALL TABLES IN SCHEMA public", "ALL SEQUENCES IN SCHEMA public", "SCHEMA public, elsewhere"):
        postgres_ponies.execute(f"GRANT ALL ON {what} TO pg_monitor")
    postgres_ponies.execute("GRANT ALL ON elsewhere.brush TO pg_monitor")

    with connection.cursor() as cursor:
        cursor.execute("SET ROLE pg_monitor")
        refused(rule, f"{hidden}'.* hides rows from this role by row-level security")


def test_a_view(ponies: Database) -> None:
    replace_notes(ponies, "CREATE VIEW ponies_oldnote AS SELECT id, id AS pony_id, name AS text FROM ponies_pony")

    refused(NOTES, "'ponies_oldnote' is a view")


def test_a_primary_key_that_the_model_does_not_know(ponies: Database) -> None:
    replace_notes(ponies, "CREATE TABLE ponies_oldnote (uid int PRIMARY KEY, id int UNIQUE, pony_id int, text text)")

    with pytest.raises(InvalidRule, match=r"is \(uid\), and ponies.OldNote has no field for 'uid'"):
        make_plan(NOTES, apps=apps, using="default")


def test_a_reference_in_another_collation(postgres_ponies: Database) -> None:
    postgres_ponies.execute('ALTER TABLE ponies_colour ALTER slug TYPE varchar(20) COLLATE "POSIX"')
    postgres_ponies.execute('ALTER TABLE ponies_dye ALTER colour_id TYPE varchar(20) COLLATE "C"')
    for slug in ("red-1", "red-2"):
        Colour.objects.create(slug=slug, name="red")
        Dye.objects.create(colour_id=slug, price=3)

    with pytest.raises(InvalidRule, match="could not determine which collation to use"):
        make_plan(DedupeRule(model="ponies.Colour", fields=("name",)), apps=apps, using="default")


def test_a_table_that_computes_its_primary_key(postgres_ponies: Database) -> None:
    replace_notes(
        postgres_ponies,
        "CREATE TABLE ponies_oldnote (id bigint GENERATED ALWAYS AS (pony_id * 10) STORED PRIMARY KEY, "
        "pony_id bigint, text text)",
    )

    refused(NOTES, r"computes its primary key \(id\)")


@pytest.mark.parametrize("table", ["ponies_pony", "ponies_brain"])
@pytest.mark.parametrize("name", ["integrity_group", "integrity_survivor_1"])
def test_a_column_that_is_called_as_one_of_its_quarantine(ponies: Database, table: str, name: str) -> None:
    ponies.execute(f"ALTER TABLE {table} ADD COLUMN {name} text")
    twins()

    refused(ONE_NAME, f"{table}'.* has a column '{name}', as its quarantine has one of its own. Rename it first.")
