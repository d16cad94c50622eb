"""Triggers of the owner's that change what a run or its undo does."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.apps import apps
from django.db import DatabaseError

from integrity.backends.fault import headline
from integrity.dedupe import (
    RunFailed,
    RunSummary,
    VerificationFailed,
    apply_plan,
    batches,
    make_plan,
    resume_run,
    undo_run,
)
from integrity.models import DedupeRun
from tests.commands import CommandResult
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, merge, quarantined, rows_of, twins
from tests.ponies.models import LooseNote, Pony, SecretNote
from tests.ponies.triggers import drop_trigger, trigger
from tests.snapshots import snapshot


def test_an_undo_is_refused_where_a_trigger_changes_the_rows_that_come_back(ponies: Database) -> None:
    twins(foaled=3)
    before = snapshot()
    run = merge(ONE_NAME)
    when = "AFTER INSERT" if ponies.vendor == "sqlite" else "BEFORE INSERT"
    update = "UPDATE ponies_pony SET foaled = 99 WHERE id = NEW.id"
    trigger(ponies, when, "ponies_pony", does="NEW.foaled = 99", sqlite=update)

    undone = undo_run(run.id, apps=apps, using="default")

    assert [refusal.reason for refusal in undone.refused] == [
        "a trigger of ponies_pony changes its row while it comes back; disable it for the undo"
    ]
    assert [row["foaled"] for row in quarantined("ponies_pony")] == [3]
    drop_trigger(ponies, "ponies_pony")
    undo_run(run.id, apps=apps, using="default")
    assert snapshot() == before


def test_an_undo_is_refused_where_a_trigger_refuses_the_rows_that_come_back(ponies: Database) -> None:
    twins()
    before = snapshot()
    run = merge(ONE_NAME)
    refuse = "SELECT RAISE(ABORT, 'no more ponies')"
    trigger(ponies, "BEFORE INSERT", "ponies_pony", does="RAISE EXCEPTION 'no more ponies'", sqlite=refuse)

    undone = undo_run(run.id, apps=apps, using="default")

    assert ["no more ponies" in refusal.reason for refusal in undone.refused] == [True]
    drop_trigger(ponies, "ponies_pony")
    undo_run(run.id, apps=apps, using="default")
    assert snapshot() == before


def test_a_batch_that_would_hold_its_locks_too_long_is_taken_back_and_made_smaller(postgres_ponies: Database) -> None:
    rows, most_in_time = 20, 4
    Pony.all_objects.bulk_create(Pony(pk=n, name=str(n // 2)) for n in range(2 * rows))
    trigger(postgres_ponies, "BEFORE DELETE", "ponies_pony", does="PERFORM pg_sleep(0.02)")
    before = snapshot()

    run = merge(ONE_NAME)

    assert (run.removed, run.clean) == (rows, True)
    assert run.batches >= rows / most_in_time
    drop_trigger(postgres_ponies, "ponies_pony")
    assert undo_run(run.id, apps=apps, using="default").refused == ()
    assert snapshot() == before


def test_whoever_chooses_the_size_of_batches_gets_them(postgres_ponies: Database) -> None:
    Pony.all_objects.bulk_create(Pony(pk=n, name=str(n // 2)) for n in range(20))
    trigger(postgres_ponies, "BEFORE DELETE", "ponies_pony", does="PERFORM pg_sleep(0.02)")
    plan = make_plan(ONE_NAME, apps=apps, using="default")

    assert apply_plan(plan.id, ONE_NAME, apps=apps, using="default", batch_size=10).batches == 1


def test_a_preview_names_the_triggers_that_will_fire(ponies: Database, call: Callable[..., CommandResult]) -> None:
    _, second = twins()
    SecretNote.objects.create(pk=1, pony=second, text="hers")
    nothing = "PERFORM 1" if ponies.vendor == "postgresql" else "SELECT 1"
    trigger(ponies, "AFTER UPDATE", "ponies_secretnote", does=nothing)

    preview = call("dedupe", "ponies.Pony", "--key", "name")
    document = json.loads(call("dedupe", "ponies.Pony", "--key", "name", "--format", "json").out)

    assert "Triggers will fire, at an undo too: meddler of ponies_secretnote." in " ".join(preview.out.split())
    assert document["plan"]["triggers"] == {"ponies_secretnote": ["meddler"]}


def test_a_preview_is_silent_of_triggers_of_tables_that_it_leaves_alone(ponies: Database) -> None:
    twins()
    trigger(ponies, "AFTER DELETE", "ponies_secretnote", does="PERFORM 1", sqlite="SELECT 1")

    assert make_plan(ONE_NAME, apps=apps, using="default").triggers == {}


def test_a_run_whose_references_change_survivors_by_a_trigger_can_be_undone(ponies: Database) -> None:
    _, second = twins()
    SecretNote.objects.create(pk=1, pony=second, text="hers")
    count = (
        "UPDATE ponies_pony SET foaled = (SELECT COUNT(*) FROM ponies_secretnote AS n WHERE n.pony_id = ponies_pony.id)"
    )
    ponies.execute(count)
    before = snapshot()
    trigger(ponies, "AFTER UPDATE", "ponies_secretnote", does=count)
    run = merge(ONE_NAME)
    assert [(row["id"], row["foaled"]) for row in rows_of("ponies_pony")] == [(1, 1)]

    undone = undo_run(run.id, apps=apps, using="default")

    assert undone.refused == ()
    assert snapshot() == before


def test_a_trigger_that_keeps_a_row_from_being_deleted_stops_the_run(sqlite_ponies: Database) -> None:
    twins()
    before = rows_of("ponies_pony")
    trigger(sqlite_ponies, "BEFORE DELETE", "ponies_pony", does="SELECT RAISE(IGNORE)")

    with pytest.raises(VerificationFailed, match="rows removed from ponies_pony: 0, but the plan says 1"):
        merge(ONE_NAME)

    assert rows_of("ponies_pony") == before
    assert quarantined("ponies_pony") == []


def merge_pairs(database: Database, *, refused: str) -> RunSummary:
    """Merge 150 pairs, where the database refuses to let some of the second ones go."""
    Pony.all_objects.bulk_create(Pony(pk=n, name=f"pair {(n + 1) // 2}") for n in range(1, 301))
    plan = make_plan(ONE_NAME, apps=apps, using="default")
    raise_ = "SELECT RAISE(ABORT, 'she stays') WHERE OLD.id " + refused
    does = f"IF OLD.id {refused} THEN RAISE EXCEPTION 'she stays'; END IF"
    trigger(database, "BEFORE DELETE", "ponies_pony", does=does, sqlite=raise_)
    return apply_plan(plan.id, ONE_NAME, apps=apps, using="default")


def test_a_trigger_that_notes_each_row_that_goes_stops_the_run_which_goes_on_without_it(ponies: Database) -> None:
    _, second = twins()
    note = "INSERT INTO ponies_loosenote (pony_id, text) VALUES (OLD.id, 'it went')"
    trigger(ponies, "AFTER DELETE", "ponies_pony", does=note)
    LooseNote.objects.create(pony=second, text="")
    before = snapshot()
    plan = make_plan(ONE_NAME, apps=apps, using="default")

    with pytest.raises(VerificationFailed, match="switch off for the run the one that does, then resume it"):
        apply_plan(plan.id, rule=ONE_NAME, apps=apps, using="default")

    assert snapshot() == before
    drop_trigger(ponies, "ponies_pony")
    [run] = DedupeRun.objects.all()
    assert resume_run(run.pk, ONE_NAME, apps=apps, using="default").clean


def test_groups_that_the_database_refuses_are_left_as_they_are_and_the_others_are_done(ponies: Database) -> None:
    run = merge_pairs(ponies, refused="IN (8, 200)")

    assert (run.state, run.removed, run.groups_left) == ("finished", 148, 2)
    (refusal,) = run.refused
    assert (refusal.groups, "the database refuses it" in refusal.reason, "she stays" in refusal.reason) == (
        2,
        True,
        True,
    )
    assert Pony.all_objects.filter(pk__in=(7, 8, 199, 200)).count() == 4


def test_a_group_that_another_process_has_left_out_meanwhile_costs_no_other_group(
    postgres_ponies: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave_out_first(error: DatabaseError) -> str:
        """What the other process does between the refusal of a batch of one and this process's next turn."""
        ((plan, cursor),) = postgres_ponies.execute("SELECT plan_id, cursor FROM integrity_run")
        refusals = f"integrity_plan_{plan}_refusals"
        if not postgres_ponies.execute(f"SELECT 1 FROM {refusals}"):
            postgres_ponies.execute(f"INSERT INTO {refusals} VALUES ({cursor + 1}, {cursor + 1}, 'refused over there')")
            postgres_ponies.execute("UPDATE integrity_run SET cursor = cursor + 1")
        return headline(error)

    monkeypatch.setattr(batches, "headline", leave_out_first)

    run = merge_pairs(postgres_ponies, refused="= 8")

    assert (run.removed, run.groups_left) == (149, 1)
    assert [(refusal.groups, refusal.reason) for refusal in run.refused] == [(1, "refused over there")]


@pytest.mark.slow
def test_a_run_stops_when_the_database_refuses_one_group_after_another(ponies: Database) -> None:
    with pytest.raises(RunFailed, match=r"she stays.*change what the message names"):
        merge_pairs(ponies, refused="> 0")

    assert quarantined("ponies_pony") == []
