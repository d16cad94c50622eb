"""Primary keys and uniqueness of every kind, of the merged table and of those that reference it."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.apps import apps
from django.db import connection

from integrity.dedupe import DedupeRule, Latest, apply_plan, make_plan
from tests.databases import Database
from tests.ponies.merging import column, quarantined, rows_of, twins
from tests.ponies.models import Chip, Colour, Contact, Dye, Implant, Lap, Membership, Pony, Slot, Start
from tests.references.conftest import Merge

A, B, C = (UUID(f"{digit * 8}-0000-4000-8000-000000000000") for digit in "123")


def test_a_text_as_primary_key(merge: Merge) -> None:
    for slug in ("red-1", "red-2"):
        Colour.objects.create(slug=slug, name="red")
        Dye.objects.create(colour_id=slug, price=3)
    Dye.objects.create(colour=None, price=4)

    merge(model="ponies.Colour", fields=("name",))

    assert column(Dye, "colour_id") == ["red-1", "red-1", None]


def test_a_uuid_as_primary_key_and_a_one_to_one_to_it(merge: Merge) -> None:
    for chip in (B, A):
        Chip.objects.create(pk=chip, serial="s")
        Implant.objects.create(chip_id=chip, depth=1)

    run = merge(model="ponies.Chip", fields=("serial",))

    assert list(Implant.objects.values_list("chip", flat=True)) == [A]
    assert run.collisions == 1


def test_rows_whose_key_is_null_are_no_duplicates(merge: Merge) -> None:
    for chip in (A, B):
        Chip.objects.create(pk=chip, serial=None)

    assert merge(model="ponies.Chip", fields=("serial",)).removed == 0


def test_a_primary_key_of_two_columns(merge: Merge) -> None:
    Lap.objects.create(race="derby", number=1, clock=60)
    Lap.objects.create(race="derby", number=2, clock=60)
    Lap.objects.create(race="oaks", number=1, clock=60)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO ponies_split VALUES (1, 'derby', 2, 30), (2, 'oaks', 1, 31), (3, NULL, 1, 32)")

    run = merge(model="ponies.Lap", fields=("clock",))

    assert run.removed == 2
    assert [(row["race"], row["number"]) for row in rows_of("ponies_lap")] == [("derby", 1)]
    assert sorted((row["id"], row["race"], row["number"]) for row in rows_of("ponies_split")) == [
        (1, "derby", 1),
        (2, "derby", 1),
        (3, None, 1),
    ]


def test_a_reference_that_is_part_of_a_primary_key_changes_the_key(merge: Merge) -> None:
    Contact.objects.create(pk=1, address="a")
    Contact.objects.create(pk=2, address="b")
    Start.objects.create(contact_id=1, race="derby", bet=1)
    Start.objects.create(contact_id=2, race="derby", bet=2)
    Start.objects.create(contact_id=2, race="oaks", bet=3)
    Contact.objects.update(address=None)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ponies_contact SET address = 'a' WHERE id = 1")
        cursor.execute("DROP INDEX one_contact_per_address")
        cursor.execute("UPDATE ponies_contact SET address = 'A' WHERE id = 2")

    run = merge(model="ponies.Contact", constraint="one_contact_per_address")

    assert (run.removed, run.collisions) == (1, 1)
    assert sorted((row["contact_id"], row["race"], row["bet"]) for row in rows_of("ponies_start")) == [
        (1, "derby", 1),
        (1, "oaks", 3),
    ]
    assert [row["bet"] for row in quarantined("ponies_start")] == [2]


def test_both_columns_of_a_reference_change_and_go_back_together(merge: Merge) -> None:
    Lap.objects.create(race="derby", number=1, clock=60)
    Lap.objects.create(race="oaks", number=2, clock=60)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO ponies_split VALUES (1, 'oaks', 2, 30)")

    merge(model="ponies.Lap", fields=("clock",))

    assert [(row["race"], row["number"]) for row in rows_of("ponies_split")] == [("derby", 1)]


def test_a_primary_key_of_two_references_that_both_move(ponies: Database, merge: Merge) -> None:
    ponies.execute("""
        CREATE TABLE ponies_mix (
            one varchar(20) REFERENCES ponies_colour, other varchar(20) REFERENCES ponies_colour,
            PRIMARY KEY (one, other), CHECK (one < other)
        )
    """)
    for slug, name in (("a-1", "azure"), ("y-1", "azure"), ("b-1", "blue"), ("z-1", "blue")):
        Colour.objects.create(slug=slug, name=name)
    ponies.execute("INSERT INTO ponies_mix VALUES ('y-1', 'z-1')")

    merge(model="ponies.Colour", fields=("name",))

    assert [tuple(row.values()) for row in rows_of("ponies_mix")] == [("a-1", "b-1")]


@pytest.fixture
def same_contacts(ponies: Database) -> None:
    """Two contacts that are one whatever the case, as before there was a constraint."""
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX one_contact_per_address")
    Contact.objects.create(pk=1, address="Ann@example.org")
    Contact.objects.create(pk=2, address="ann@example.org")
    Contact.objects.create(pk=3, address=None)
    Contact.objects.create(pk=4, address=None)


@pytest.mark.usefixtures("same_contacts")
def test_a_key_that_is_an_expression(merge: Merge) -> None:
    run = merge(model="ponies.Contact", constraint="one_contact_per_address", keep=(Latest("pk"),))

    assert run.clean
    assert column(Contact, "id") == [2, 3, 4]


@pytest.mark.usefixtures("same_contacts")
def test_children_that_are_unique_under_a_condition_collide_under_it_only(merge: Merge) -> None:
    for contact in (1, 2):
        Membership.objects.create(contact_id=contact, club="chess", active=True)
        Membership.objects.create(contact_id=contact, club="polo", active=False)
        Membership.objects.create(contact_id=contact, club=None, active=True)

    run = merge(model="ponies.Contact", constraint="one_contact_per_address")

    assert (run.removed, run.refused) == (1, ())
    kept = sorted(Membership.objects.values_list("contact", "club", "active"), key=str)
    assert kept == [(1, "chess", True), (1, "polo", False), (1, "polo", False), (1, None, True), (1, None, True)]
    assert [row["club"] for row in quarantined("ponies_membership")] == ["chess"]


@pytest.mark.usefixtures("same_contacts")
def test_children_for_whom_nulls_are_equal_collide_where_the_database_knows_that(
    merge: Merge, ponies: Database
) -> None:
    for contact in (1, 2):
        Slot.objects.create(contact_id=contact, hour=None)
        Slot.objects.create(contact_id=contact, hour=contact)

    run = merge(model="ponies.Contact", constraint="one_contact_per_address")

    # SQLite cannot have such a constraint, so Django made none there.
    assert run.collisions == (1 if ponies.vendor == "postgresql" else 0)
    assert set(column(Slot, "contact_id")) == {1}


@pytest.mark.usefixtures("same_contacts")
def test_children_collide_by_the_collation_of_their_index(merge: Merge, ponies: Database) -> None:
    collation = "NOCASE"
    if ponies.vendor == "postgresql":
        if not ponies.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'"):
            pytest.skip("this server has no ICU, and without it collations agree on what is equal")
        collation = "ignores_case"
        ponies.execute(
            "CREATE COLLATION ignores_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    ponies.execute(f"CREATE UNIQUE INDEX one_club ON ponies_membership (contact_id, club COLLATE {collation})")
    for contact, club in ((1, "chess"), (2, "CHESS")):
        Membership.objects.create(contact_id=contact, club=club, active=False)

    run = merge(model="ponies.Contact", constraint="one_contact_per_address")

    assert run.collisions == 1


def test_a_rule_whose_constraint_holds_nulls_equal_finds_them(merge: Merge, ponies: Database) -> None:
    if ponies.vendor == "postgresql":
        ponies.execute("ALTER TABLE ponies_slot DROP CONSTRAINT one_contact_per_slot")
    for _ in range(2):
        Slot.objects.create(contact=None, hour=None)
        Slot.objects.create(contact=None, hour=3)

    run = merge(model="ponies.Slot", constraint="one_contact_per_slot")

    assert run.removed == 2
    assert sorted(Slot.objects.values_list("hour", flat=True), key=str) == [3, None]


def test_a_row_that_joins_a_group_whose_key_is_null_is_not_overlooked(ponies: Database) -> None:
    rule = DedupeRule(model="ponies.Pony", fields=("code",), nulls="equal")
    for pk in (1, 2):
        Pony.all_objects.create(pk=pk, name=f"{pk}", code=None)
    plan = make_plan(rule, apps=apps, using="default")
    Pony.all_objects.create(pk=3, name="3", code=None)

    run = apply_plan(plan.id, rule, apps=apps, using="default")

    assert [refusal.reason.split(";")[0] for refusal in run.refused] == [
        "a row with the same key was added after the plan was made"
    ]
    assert column(Pony, "id") == [1, 2, 3]


def test_a_rule_under_a_condition_leaves_all_other_rows_alone(merge: Merge, ponies: Database) -> None:
    ponies.execute("DROP INDEX one_active_membership")
    contact = Contact.objects.create(address="a")
    for active in (True, True, False, False):
        Membership.objects.create(contact=contact, club="chess", active=active)

    run = merge(model="ponies.Membership", constraint="one_active_membership")

    assert run.removed == 1
    assert sorted(Membership.objects.values_list("active", flat=True)) == [False, False, True]


def test_a_row_that_another_takes_the_primary_key_of_comes_back(ponies: Database, merge: Merge) -> None:
    ponies.execute(
        "CREATE TABLE seat (pony bigint PRIMARY KEY REFERENCES ponies_pony, guest bigint REFERENCES ponies_pony)"
    )
    twins()
    Pony.all_objects.create(pk=3, name="Misty")
    ponies.execute("INSERT INTO seat VALUES (1, 3), (2, NULL)")

    run = merge(model="ponies.Pony", fields=("name",))

    assert (run.collisions, run.refused) == (1, ())
    assert rows_of("seat") == [{"pony": 1, "guest": None}]
