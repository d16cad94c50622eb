"""Every kind of relation follows the survivor, whoever knows of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from integrity.dedupe import RunSummary
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, changes, column, merge, quarantined, rows_of, twins
from tests.ponies.models import (
    Animal,
    Bridle,
    Horn,
    Label,
    LooseNote,
    OldNote,
    Pony,
    ProxyNote,
    RealKeeper,
    Remark,
    Shift,
    Stall,
    Toy,
    Unicorn,
    Vaccination,
)
from tests.references.conftest import Merge

Merged = Callable[[], RunSummary]


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_links_of_a_many_to_many_follow_and_twice_the_same_link_is_a_collision(merge_ponies: Merged) -> None:
    first, second = twins()
    ball, rope = Toy.objects.create(name="ball"), Toy.objects.create(name="rope")
    first.toys.add(ball)
    second.toys.add(ball, rope)

    run = merge_ponies()

    assert run.collisions == 1
    assert set(first.toys.all()) == {ball, rope}
    assert [row["toy_id"] for row in quarantined("ponies_pony_toys")] == [ball.pk]


def test_a_many_to_many_to_itself_follows_on_both_sides(merge_ponies: Merged) -> None:
    first, second = twins()
    other = Pony.all_objects.create(pk=3, name="Dusty")
    second.companions.add(other)

    merge_ponies()

    assert list(first.companions.all()) == [other]
    assert list(other.companions.all()) == [first]


def test_links_between_the_two_that_become_one_link_it_to_itself(merge_ponies: Merged) -> None:
    first, second = twins()
    first.companions.add(second)

    run = merge_ponies()

    links = rows_of("ponies_pony_companions")
    assert [(row["from_pony_id"], row["to_pony_id"]) for row in links] == [(first.pk, first.pk)]
    assert run.collisions == 1


def test_a_row_that_references_two_redundant_rows_at_once_follows_with_both(merge_ponies: Merged) -> None:
    first, second = twins()
    left = Pony.all_objects.create(pk=3, name="Dusty")
    right = Pony.all_objects.create(pk=4, name="Dusty")
    Bridle.objects.create(left=second, right=right)
    Bridle.objects.create(left=second, right=None)
    Bridle.objects.create(left=first, right=None)

    run = merge_ponies()

    pairs = sorted(Bridle.objects.values_list("left", "right"), key=str)
    assert pairs == [(first.pk, left.pk), (first.pk, None), (first.pk, None)]
    assert run.collisions == 0, "NULLs are not equal under this constraint"


def test_a_reference_by_another_column_than_the_primary_key_takes_the_survivors_value(merge_ponies: Merged) -> None:
    _, second = twins()
    Stall.objects.create(pony=second, number=7)

    merge_ponies()

    assert column(Stall, "pony_id") == ["m1"]


def test_a_survivor_without_the_referenced_value_is_refused_or_keeps_the_reference(merge: Merge) -> None:
    """Where the survivor's code is NULL, there is nothing that the stall could reference."""
    first, second = twins()
    Pony.all_objects.filter(pk=first.pk).update(code=None)
    Stall.objects.create(pony=second, number=7)

    run = merge(model="ponies.Pony", fields=("name",))

    assert column(Stall, "pony_id") == ["m2"]
    assert Pony.all_objects.filter(code="m2").exists()
    assert [refusal.groups for refusal in run.refused] == [1]


def test_children_of_a_tree_hang_below_the_survivor(merge_ponies: Merged) -> None:
    first, second = twins()
    foal = Pony.all_objects.create(pk=3, name="Dusty", sire=second)

    merge_ponies()

    foal.refresh_from_db()
    assert foal.sire_id == first.pk


def test_a_survivor_that_references_its_redundant_row_then_references_itself(merge_ponies: Merged) -> None:
    first, second = twins()
    Pony.all_objects.filter(pk=first.pk).update(sire=second)

    merge_ponies()

    assert Pony.all_objects.get().sire_id == first.pk


def test_redundant_rows_that_reference_each_other_in_a_ring_go(merge_ponies: Merged) -> None:
    first, second = twins()
    third = Pony.all_objects.create(pk=3, name="Misty", sire=second)
    Pony.all_objects.filter(pk=second.pk).update(sire=third, friend=first)

    run = merge_ponies()

    assert run.removed == 2
    assert Pony.all_objects.get().pk == first.pk


def test_a_chain_of_twins_is_merged_whole(merge_ponies: Merged) -> None:
    for generation in range(5):
        for twin in range(2):
            sire = generation * 2 - 1 if generation else None
            Pony.all_objects.create(pk=generation * 2 + twin + 1, name=f"generation {generation}", sire_id=sire)

    run = merge_ponies()

    assert run.removed == 5
    assert list(Pony.all_objects.order_by("pk").values_list("pk", "sire")) == [
        (1, None), (3, 1), (5, 3), (7, 5), (9, 7),
    ]  # fmt: skip


def test_a_reference_without_a_constraint_in_the_database_follows(merge_ponies: Merged) -> None:
    first, second = twins()
    LooseNote.objects.create(pony=second, text="kept")
    LooseNote.objects.create(pony_id=999, text="an orphan before")

    merge_ponies()

    assert column(LooseNote, "pony_id") == [first.pk, 999]


def test_a_reference_to_a_proxy_follows(merge_ponies: Merged) -> None:
    first, second = twins()
    ProxyNote.objects.create(pony_id=second.pk, text="kept")

    merge_ponies()

    assert column(ProxyNote, "pony_id") == [first.pk]


def test_an_unmanaged_table_that_only_django_knows_to_reference_follows(merge_ponies: Merged) -> None:
    first, second = twins()
    OldNote.objects.create(pk=1, pony=second, text="kept")

    merge_ponies()

    assert column(OldNote, "pony_id") == [first.pk]


def test_tables_that_only_the_database_knows_follow_before_it_cascades(merge_ponies: Merged) -> None:
    first, second = twins()
    execute(f"INSERT INTO ponies_ledger VALUES (1, {second.pk}, 9.5)")
    execute(f"INSERT INTO ponies_trace VALUES (1, {first.pk}, 1), (2, {second.pk}, 1), (3, {second.pk}, NULL)")

    run = merge_ponies()

    assert column("ponies_ledger", 'a "pony" id') == [first.pk]
    assert [(row["id"], row["pony"]) for row in rows_of("ponies_trace")] == [(1, first.pk), (3, first.pk)]
    assert [row["id"] for row in quarantined("ponies_trace")] == [2]
    assert run.collisions == 1


def test_a_table_in_another_schema_follows(postgres_ponies: Database) -> None:
    first, second = twins()
    execute(f"INSERT INTO elsewhere.brush VALUES (1, {second.pk})")

    merge(ONE_NAME)

    assert postgres_ponies.execute("SELECT pony FROM elsewhere.brush") == [(first.pk,)]


def test_generic_references_collide_under_their_own_uniqueness(merge_ponies: Merged) -> None:
    first, second = twins()
    toy = Toy.objects.create(pk=second.pk, name="of the same number")
    for subject, text in [(first, "same"), (second, "same"), (second, "other"), (toy, "same")]:
        Label.objects.create(subject=subject, text=text)

    run = merge_ponies()

    pony, thing = (ContentType.objects.get_for_model(model).pk for model in (Pony, Toy))
    assert set(Label.objects.values_list("content_type", "object_id", "text")) == {
        (pony, first.pk, "same"),
        (pony, first.pk, "other"),
        (thing, toy.pk, "same"),
    }
    assert run.collisions == 1


def test_a_generic_reference_by_a_text_that_is_no_number_is_left_alone(merge_ponies: Merged) -> None:
    _, second = twins()
    Remark.objects.create(about_type=ContentType.objects.get_for_model(Pony), about_id="not a number", text="")
    Remark.objects.create(about=second, text="")

    merge_ponies()

    assert column(Remark, "about_id") == ["1", "not a number"]


def test_both_the_child_and_what_references_the_parent_follow_in_multi_table_inheritance(merge: Merge) -> None:
    first = Unicorn.objects.create(pk=1, tag="a", sparkle=1)
    second = Unicorn.objects.create(pk=2, tag="a", sparkle=2)
    plain = Animal.objects.create(pk=3, tag="a")
    Horn.objects.create(unicorn=second, length=3)
    for animal in (first, second, plain):
        Vaccination.objects.create(animal=animal, against="rust")
    Vaccination.objects.create(animal=second, against="moth")

    run = merge(model="ponies.Animal", fields=("tag",))

    assert (run.removed, run.collisions) == (2, 3)
    assert list(Unicorn.objects.values_list("pk", "sparkle")) == [(1, 1)]
    assert column(Horn, "unicorn_id") == [1]
    assert sorted(Vaccination.objects.values_list("animal", "against")) == [(1, "moth"), (1, "rust")]
    assert [row["sparkle"] for row in quarantined("ponies_unicorn")] == [2]


def test_a_reference_to_a_swapped_model_follows(merge: Merge) -> None:
    RealKeeper.objects.create(pk=1, name="Ann")
    second = RealKeeper.objects.create(pk=2, name="Ann")
    Shift.objects.create(keeper=second, hour=6)

    merge(model="ponies.RealKeeper", fields=("name",))

    assert column(Shift, "keeper_id") == [1]


def test_each_repointed_value_is_recorded(merge_ponies: Merged) -> None:
    first, second = twins()
    for _ in range(2):
        LooseNote.objects.create(pony=second, text="")

    merge_ponies()

    assert changes("ponies_loosenote", "pony_id") == [(second.pk, first.pk)] * 2


@pytest.mark.parametrize("how", ["", "ON DELETE CASCADE", "ON DELETE SET NULL"])
def test_redundant_rows_that_point_at_each_other_go_together(ponies: Database, merge: Merge, how: str) -> None:
    ponies.execute(f"ALTER TABLE ponies_pony ADD COLUMN dam bigint REFERENCES ponies_pony {how}")
    twins()
    Pony.all_objects.create(pk=3, name="Misty")
    ponies.execute("UPDATE ponies_pony SET dam = 2 WHERE id = 3")

    run = merge(model="ponies.Pony", fields=("name",))

    assert (run.removed, run.refused) == (2, ())
