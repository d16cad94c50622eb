"""Odd names, odd types, and columns that the database fills itself."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

from integrity.dedupe import DedupeRule, InvalidRule, apply_plan, make_plan
from tests.databases import Database
from tests.ponies.merging import column, quarantined, rows_of
from tests.ponies.models import Computed, Numbered, Odd, Pony, Scroll, Seal, Toy
from tests.references.conftest import Merge


def test_names_with_spaces_percent_signs_quotes_and_keywords(merge: Merge) -> None:
    Odd.objects.create(pk=1, name="100%", order=1, quote="it's")
    Odd.objects.create(pk=2, name="100%", order=2, quote='"%s"')
    with connection.cursor() as cursor:
        cursor.execute("""INSERT INTO "ponies 50% note" VALUES (1, 1, 'same %'), (2, 2, 'same %'), (3, 2, '%s')""")

    run = merge(model="ponies.Odd", fields=("name",))

    assert (run.removed, run.collisions) == (1, 1)
    assert column("ponies 50% note", "from") == ["%s", "same %"]
    assert [row["it's"] for row in quarantined("ponies select odd")] == ['"%s"']


def test_a_quote_in_the_name_of_a_table_that_references(ponies: Database, merge: Merge) -> None:
    with connection.cursor() as cursor:
        cursor.execute('CREATE TABLE "a ""pony""" (id bigint PRIMARY KEY, pony bigint REFERENCES ponies_toy)')
        for number in (1, 2):
            Toy.objects.create(pk=number, name="ball")
            cursor.execute('INSERT INTO "a ""pony""" VALUES (%s, %s)', (number, number))

    run = merge(model="ponies.Toy", fields=("name",))

    assert run.removed == 1
    assert ponies.execute('SELECT pony FROM "a ""pony"""') == [(1,), (1,)]


def test_types_that_cannot_be_compared(merge: Merge, ponies: Database) -> None:
    values = [('{"b": 1,  "a": 2}', "(1,1),(0,0)", "(1,2)"), ("{}", None, "(3,4)")]
    with connection.cursor() as cursor:
        for number, (body, motto, origin) in enumerate(values, 1):
            cursor.execute(
                "INSERT INTO ponies_scroll (id, title, body, motto, origin) VALUES (%s, 'one', %s, %s, %s)",
                [number, body, motto, origin],
            )
            cursor.execute("INSERT INTO ponies_seal VALUES (%s, %s, %s)", [number, number, body])
    before = rows_of("ponies_scroll")

    run = merge(model="ponies.Scroll", fields=("title",))

    assert (run.removed, run.refused) == (1, ())
    assert rows_of("ponies_scroll") == before[:1]
    (kept,) = quarantined("ponies_scroll")
    assert {name: kept[name] for name in before[1]} == before[1]
    assert column(Seal, "scroll_id") == [1, 1]


@pytest.mark.parametrize("edited", ["ponies_scroll", "ponies_seal"])
def test_a_change_to_a_value_that_cannot_be_compared_is_seen_where_it_matters(ponies: Database, edited: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO ponies_scroll (id, title, body) VALUES (1, 'one', '{}'), (2, 'one', '{}')")
        cursor.execute("INSERT INTO ponies_seal VALUES (1, 2, '{}')")
    rule = DedupeRule(model="ponies.Scroll", fields=("title",))
    plan = make_plan(rule, apps=apps, using="default")
    ponies.execute(f"UPDATE {edited} SET {'body' if edited == 'ponies_scroll' else 'wax'} = '{{ }}'")

    run = apply_plan(plan.id, rule, apps=apps, using="default")

    # What else a repointed row holds is no part of the decision; what a removed row holds is.
    assert run.removed == (0 if edited == "ponies_scroll" else 1)
    assert Scroll.objects.count() == (2 if edited == "ponies_scroll" else 1)


def test_columns_that_the_database_computes(merge: Merge) -> None:
    for width, height in ((2, 6), (3, 4), (5, 5)):
        Computed.objects.create(width=width, height=height)

    run = merge(model="ponies.Computed", fields=("area",))

    assert run.removed == 1
    assert column(Computed, "area") == [12, 25]


def test_numbers_that_only_the_database_may_give(merge: Merge) -> None:
    for _ in range(2):
        Numbered.objects.create(name="same")
    Computed.objects.create(width=1, height=1, numbered_id=2)

    merge(model="ponies.Numbered", fields=("name",))

    assert column(Computed, "numbered_id") == [1]


@pytest.mark.parametrize("name", ["r", "t", "q", "c", "m", "m1"])
def test_referencing_tables_that_are_called_as_statements_call_theirs(
    merge: Merge, ponies: Database, name: str
) -> None:
    Pony.all_objects.bulk_create(Pony(pk=number, name="Misty") for number in (1, 2))
    ponies.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, pony_id integer REFERENCES ponies_pony (id))")
    ponies.execute(f"INSERT INTO {name} VALUES (1, 2)")

    run = merge(model="ponies.Pony", fields=("name",))

    assert (run.removed, run.repointed) == (1, 1)


def test_columns_whose_names_begin_like_ours_come_back(merge: Merge, ponies: Database) -> None:
    ponies.execute("ALTER TABLE ponies_pony ADD COLUMN integrity_note text")
    Pony.all_objects.bulk_create(Pony(pk=number, name="Misty") for number in (1, 2))
    ponies.execute("UPDATE ponies_pony SET integrity_note = 'note of ' || id")

    run = merge(model="ponies.Pony", fields=("name",))

    assert run.removed == 1
    assert [row["integrity_note"] for row in quarantined("ponies_pony")] == ["note of 2"]


def test_a_policy_for_what_is_no_reference_is_refused_with_the_known_ones(ponies: Database) -> None:
    rule = DedupeRule(model="ponies.Pony", fields=("name",), references={"ponies_secretnote.pony": "refuse"})

    with pytest.raises(InvalidRule, match=r"'ponies_secretnote\.pony'.*ponies_secretnote\.pony_id"):
        make_plan(rule, apps=apps, using="default")


def test_a_model_that_is_ahead_of_its_migrations_references_nothing_yet(ponies: Database) -> None:
    Pony.all_objects.bulk_create(Pony(pk=number, name="Misty") for number in (1, 2))
    ponies.execute("DROP TABLE ponies_secretnote")
    ponies.execute("CREATE TABLE ponies_secretnote (id integer PRIMARY KEY, text text)")

    assert make_plan(DedupeRule(model="ponies.Pony", fields=("name",)), apps=apps, using="default").groups == 1


def test_a_unique_field_that_was_filled_is_emptied_again_by_the_undo(merge: Merge, ponies: Database) -> None:
    ponies.execute("CREATE UNIQUE INDEX one_a_year ON ponies_pony (foaled)")
    Pony.all_objects.create(pk=1, name="Misty")
    Pony.all_objects.create(pk=2, name="Misty", foaled=3)

    merge(model="ponies.Pony", fields=("name",), merge={"foaled": "first-not-null"})

    assert column(Pony, "foaled") == [3]


def test_fields_that_a_check_compares_are_filled_and_emptied_together(merge: Merge, ponies: Database) -> None:
    ponies.execute("DROP TABLE ponies_computed")
    ponies.execute(
        "CREATE TABLE ponies_computed (id integer PRIMARY KEY, numbered_id bigint, width integer, height integer, "
        "area integer GENERATED ALWAYS AS (width * height) STORED, CHECK (width <= height))"
    )
    ponies.execute("INSERT INTO ponies_computed (id, numbered_id, width, height) VALUES (1, 5, 8, 9), (2, 5, 1, 2)")

    merge(model="ponies.Computed", fields=("numbered",), merge={"width": "min", "height": "min"})

    assert [(row["width"], row["height"]) for row in rows_of("ponies_computed")] == [(1, 2)]
