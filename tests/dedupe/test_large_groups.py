"""A large group goes row by row where nothing forbids it: batches stay short, and nothing else is different."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from integrity.dedupe import (
    DedupeRule,
    OrderByFields,
    Pace,
    RunSummary,
    apply_plan,
    make_plan,
    resume_run,
    revise_plan,
    undo_run,
)
from integrity.dedupe.plans import load_plan, stages_of
from integrity.models import DedupeRun
from tests.databases import Database
from tests.ponies.merging import column, merge, quarantined, rows_of
from tests.ponies.models import Animal, Pony, Remark, Unicorn, Vaccination
from tests.races.writers import at_step
from tests.snapshots import snapshot

TAGS = DedupeRule(model="ponies.Animal", fields=("tag",))
LARGE = "integrity.dedupe.largegroups.LARGE"
MANY = 8
"""Animals of the large group, numbered from 1; the first one survives. Two more, 9 and 10, are a small group."""


@pytest.fixture
def herd(ponies: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A large group whose rows have a vaccination each, and a small one."""
    monkeypatch.setattr(LARGE, 4)
    Animal.objects.bulk_create(Animal(pk=n, tag="many" if n <= MANY else "few") for n in range(1, MANY + 3))
    Vaccination.objects.bulk_create(Vaccination(pk=n, animal_id=n, against=f"no. {n}") for n in range(1, MANY + 1))
    return ponies


def plan() -> int:
    return make_plan(TAGS, apps=apps, using="default").id


def apply(number: int) -> RunSummary:
    return apply_plan(number, TAGS, apps=apps, using="default", batch_size=1)


def sizes(number: int) -> list[int]:
    """How many rows each unit of a plan has that go."""
    root, _ = stages_of(load_plan(number, apps=apps, using="default"))
    units = [row["unit"] for row in rows_of(root.name) if row["action"] == "remove"]
    return sorted(units.count(unit) for unit in set(units))


def test_its_rows_go_in_batches_of_their_own_and_the_end_is_the_same(
    herd: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot()
    monkeypatch.setattr(LARGE, 1000)
    whole = merge(TAGS, batch_size=1)
    after = snapshot()
    undo_run(whole.id, apps=apps, using="default")
    monkeypatch.setattr(LARGE, 4)

    number = plan()
    run = apply(number)

    assert sizes(number) == [1] * MANY
    assert (run.removed, run.repointed, run.refused, run.groups_left) == (MANY, MANY - 1, (), 0)
    assert run.batches > whole.batches == 2
    assert snapshot() == after
    undone = undo_run(run.id, apps=apps, using="default")
    assert (undone.restored, undone.refused, snapshot()) == (MANY, (), before)


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("connections", [2, 3])
def test_several_connections_take_its_rows_in_turns(
    postgres_ponies: Database, monkeypatch: pytest.MonkeyPatch, connections: int
) -> None:
    monkeypatch.setattr(LARGE, 4)
    Animal.objects.bulk_create(Animal(pk=n, tag="many") for n in range(1, 101))
    before = snapshot()

    run = merge(TAGS, batch_size=3, connections=connections)

    assert (run.removed, run.refused, run.groups_left) == (99, (), 0)
    undo_run(run.id, apps=apps, using="default")
    assert snapshot() == before


def test_where_children_collide_it_goes_as_a_whole(herd: Database) -> None:
    Vaccination.objects.filter(pk__in=(2, 7)).update(against="flu")

    number = plan()

    assert sizes(number) == [1, MANY - 1]
    assert apply(number).collisions == 1


def test_where_a_child_has_the_reference_for_its_key_it_goes_as_a_whole(herd: Database) -> None:
    Unicorn(animal_ptr_id=5, sparkle=1).save_base(raw=True)

    assert sizes(plan()) == [1, MANY - 1]


def test_where_fields_are_filled_it_goes_as_a_whole(herd: Database) -> None:
    rule = DedupeRule(model="ponies.Vaccination", fields=("animal",), merge={"against": "max"})
    Vaccination.objects.update(animal_id=1)

    assert sizes(make_plan(rule, apps=apps, using="default").id) == [MANY - 1]


def test_where_rows_may_refer_to_one_another_it_goes_as_a_whole(
    herd: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    herd.execute("ALTER TABLE ponies_animal ADD COLUMN dam bigint REFERENCES ponies_animal")

    assert sizes(plan()) == [1, MANY - 1]


def test_where_rows_that_refer_to_it_are_sought_without_an_index_it_goes_as_a_whole(
    herd: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrity.dedupe.largegroups._FEW", 1)
    about = ContentType.objects.get_for_model(Pony)
    Remark.objects.bulk_create(Remark(about_type=about, about_id="1", text="of another") for _ in range(2))

    assert sizes(plan()) == [1, MANY - 1]


def test_where_the_rule_lets_it_stay_it_stays_beside_another_that_goes(herd: Database) -> None:
    Animal.objects.bulk_create(Animal(pk=n, tag="as many") for n in range(11, 11 + MANY))
    rule = DedupeRule(model="ponies.Animal", fields=("tag",), references={"ponies_vaccination.animal_id": "refuse"})

    run = merge(rule)

    assert (run.removed, [refusal.groups for refusal in run.refused]) == (1 + MANY - 1, [1])
    assert column(Animal, "tag") == ["as many", "few", *["many"] * MANY]


def test_where_a_trigger_may_change_the_survivor_it_goes_as_a_whole(herd: Database) -> None:
    what = "ponies_vaccination BEGIN UPDATE ponies_animal SET tag = tag; END"
    if connection.vendor == "postgresql":
        herd.execute("CREATE FUNCTION count_them() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        what = "ponies_vaccination FOR EACH ROW EXECUTE FUNCTION count_them()"
    herd.execute(f"CREATE TRIGGER count_them AFTER UPDATE ON {what}")

    assert sizes(plan()) == [1, MANY - 1]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda: Animal.objects.filter(pk=1).update(tag="another"), "changed"),
        (lambda: Animal.objects.filter(pk=1).delete(), "deleted"),
    ],
    ids=["changed", "deleted"],
)
def test_once_its_survivor_is_not_as_planned_no_more_rows_go(
    herd: Database, act: Callable[[], Any], reason: str
) -> None:
    Vaccination.objects.all().delete()
    number = plan()

    with at_step("done", act, nth=5):
        run = apply(number)

    gone = {row["id"] for row in quarantined("ponies_animal")}
    assert gone >= {10, 2}
    assert gone < {10, *range(2, MANY + 1)}
    assert [(refusal.groups, reason in refusal.reason) for refusal in run.refused] == [(1, True)]
    assert {row["id"] for row in rows_of("ponies_animal")} | gone | {1} == {*range(1, MANY + 3)}


def test_what_is_left_of_it_is_planned_by_itself(herd: Database) -> None:
    number = plan()
    with at_step("done", lambda: Animal.objects.filter(pk=1).update(tag="another"), nth=5):
        run = apply(number)
    left = Animal.objects.filter(tag="many").count()
    assert 1 < left < MANY - 1

    again = make_plan(TAGS, apps=apps, using="default", left_by=run.id)

    assert (again.groups, again.redundant) == (1, left - 1)
    assert apply(again.id).clean
    assert column(Animal, "tag") == ["another", "few", "many"]


def test_rows_that_others_changed_stay_and_their_fellows_go(herd: Database) -> None:
    number = plan()

    with at_step("done", lambda: Vaccination.objects.filter(pk=8).update(animal_id=7), nth=2):
        run = apply(number)

    assert {(refusal.groups, refusal.example) for refusal in run.refused} == {(1, "7"), (1, "8")}
    assert column(Animal, "id") == [1, 7, 8, 9]
    again = make_plan(TAGS, apps=apps, using="default", left_by=run.id)
    assert again.redundant == 2
    assert apply(again.id).groups_left == 0
    assert column(Vaccination, "animal_id") == [1] * MANY


@pytest.mark.postgres
def test_who_writes_to_its_other_rows_or_refers_to_its_survivor_does_not_wait_for_a_batch(
    postgres_ponies: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LARGE, 4)
    Animal.objects.bulk_create(Animal(pk=n, tag="many") for n in range(1, MANY + 1))
    number = plan()

    def write() -> None:
        with psycopg.connect(postgres_ponies.url) as other:
            other.execute("SET lock_timeout = '50ms'")
            other.execute("UPDATE ponies_animal SET tag = 'mine' WHERE id = 8")
            other.execute("INSERT INTO ponies_vaccination (id, animal_id, against) VALUES (1, 1, 'flu')")
            other.commit()
            with pytest.raises(psycopg.errors.LockNotAvailable):  # that one must not change meanwhile
                other.execute("UPDATE ponies_animal SET tag = 'mine' WHERE id = 1")

    with at_step("removed", write, nth=4):
        run = apply(number)

    assert ([refusal.example for refusal in run.refused], run.removed) == (["8"], MANY - 2)
    assert (column(Animal, "tag"), column(Vaccination, "animal_id")) == (["many", "mine"], [1])


def test_a_row_that_joined_keeps_all_of_it(herd: Database) -> None:
    number = plan()
    Animal.objects.create(pk=11, tag="many")

    run = apply(number)

    assert (run.removed, [refusal.groups for refusal in run.refused]) == (1, [1])
    assert Animal.objects.filter(tag="many").count() == MANY + 1


@pytest.mark.postgres
def test_what_the_database_refuses_once_it_is_not_asked_for_each_row(
    postgres_ponies: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LARGE, 4)
    monkeypatch.setattr("integrity.dedupe.batches._MOST_LEFT_OUT", 1)
    Animal.objects.bulk_create(Animal(pk=n, tag="many") for n in range(1, MANY + 1))
    Vaccination.objects.bulk_create(Vaccination(pk=n, animal_id=n, against=f"no. {n}") for n in range(4, MANY + 1))
    Animal.objects.bulk_create(Animal(pk=n, tag="as many") for n in range(11, 11 + MANY))
    postgres_ponies.execute("ALTER TABLE ponies_vaccination ADD CHECK (animal_id <> 1)")

    run = apply(plan())

    assert [(refusal.groups, "refuses it" in refusal.reason) for refusal in run.refused] == [(1, True)]
    assert run.removed == 2 + MANY - 1
    assert column(Animal, "tag") == ["as many", *["many"] * (MANY - 2)]


def test_it_can_be_left_out_of_a_plan_and_given_another_survivor(herd: Database) -> None:
    number = plan()
    group = {row["k1"]: row["grp"] for row in rows_of(f"integrity_plan_{number}")}["many"]

    left = revise_plan(number, TAGS, apps=apps, using="default", exclude=(group,))
    assert (left.staying, [refusal.groups for refusal in left.refused]) == (MANY - 1, [1])
    assert apply(number).removed == 1

    number = plan()
    revise_plan(number, TAGS, apps=apps, using="default", survivors={1: "3"})
    assert sizes(number) == [1] * (MANY - 1)
    assert (apply(number).groups_left, Animal.objects.get(tag="many").pk) == (0, 3)


def test_it_is_undone_by_its_number_in_few_transactions(herd: Database) -> None:
    run = apply(plan())
    group = quarantined("ponies_animal")[-1]["integrity_group"]
    steps: list[int] = []

    undone = undo_run(
        run.id,
        apps=apps,
        using="default",
        groups=(group,),
        report=lambda progress: steps.append(progress.total or 0),
    )

    assert (undone.restored, steps) == (MANY - 1, [1])
    assert Animal.objects.filter(tag="many").count() == MANY


@pytest.mark.postgres
def test_what_the_database_does_not_let_back_is_named_by_its_group(
    postgres_ponies: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LARGE, 4)
    Animal.objects.bulk_create(Animal(pk=n, tag="few" if n < 3 else "many") for n in range(1, MANY + 1))
    run = apply(plan())
    postgres_ponies.execute("ALTER TABLE ponies_animal ADD EXCLUDE (tag WITH =) WHERE (tag = 'many')")

    undone = undo_run(run.id, apps=apps, using="default")

    (refusal,) = undone.refused
    assert (undone.restored, refusal.groups, refusal.example) == (1, 1, "group 2")
    assert "exclusion" in refusal.reason


@pytest.mark.parametrize("keyless", [1, 5])
def test_a_row_without_a_primary_key_stays_and_is_named(
    sqlite_ponies: Database, monkeypatch: pytest.MonkeyPatch, keyless: int
) -> None:
    monkeypatch.setattr(LARGE, 4)
    sqlite_ponies.execute("DROP TABLE ponies_loosenote")
    sqlite_ponies.execute("CREATE TABLE ponies_loosenote (id text PRIMARY KEY, pony_id bigint, text text)")
    for n in range(1, MANY + 1):
        key = "NULL" if n == keyless else f"'{n}'"
        sqlite_ponies.execute(f"INSERT INTO ponies_loosenote VALUES ({key}, {n}, 'one')")
    rule = DedupeRule(model="ponies.LooseNote", fields=("text",), keep=(OrderByFields(("pony",)),))

    run = merge(rule, batch_size=1)

    assert [(refusal.groups, "no primary key" in refusal.reason) for refusal in run.refused] == [(1, True)]
    assert run.removed == (0 if keyless == 1 else MANY - 2)
    assert len(rows_of("ponies_loosenote")) == MANY - run.removed


def test_a_run_that_fails_amid_it_is_resumed_where_it_was(herd: Database) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    with at_step("removed", fail, nth=5), pytest.raises(KeyboardInterrupt):
        apply(plan())
    assert 0 < len(quarantined("ponies_animal")) < MANY

    run = resume_run(DedupeRun.objects.get().pk, TAGS, apps=apps, using="default", pace=Pace())
    assert (run.removed, run.groups_left) == (MANY, 0)
