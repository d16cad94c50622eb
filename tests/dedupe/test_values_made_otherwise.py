"""Values that a trigger, or a column's new type, makes into others than those that are written."""

from __future__ import annotations

import pytest
from django.apps import apps

from integrity.dedupe import DedupeRule, VerificationFailed, make_plan, resume_run, undo_run
from integrity.models import DedupeRun
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, merge, rows_of, twins
from tests.ponies.models import OldNote, Pony, SecretNote
from tests.ponies.triggers import drop_trigger, trigger
from tests.snapshots import snapshot

FILLED = DedupeRule(model="ponies.Pony", fields=("name",), merge={"foaled": "max"})


def keep_as_it_is(database: Database, table: str, column: str) -> None:
    """Let a trigger take back whatever an UPDATE writes into a column."""
    when = "AFTER UPDATE" if database.vendor == "sqlite" else "BEFORE UPDATE"
    update = f"UPDATE {table} SET {column} = OLD.{column} WHERE id = NEW.id"
    trigger(database, when, table, does=f"NEW.{column} = OLD.{column}", sqlite=update)


def test_a_run_stops_where_a_trigger_gives_a_reference_another_target(ponies: Database) -> None:
    twins()
    Pony.all_objects.create(pk=9, name="Star")
    SecretNote.objects.create(pk=1, pony_id=2, text="hers")
    before = snapshot()
    when = "AFTER UPDATE" if ponies.vendor == "sqlite" else "BEFORE UPDATE"
    update = "UPDATE ponies_secretnote SET pony_id = 9 WHERE id = NEW.id"
    trigger(ponies, when, "ponies_secretnote", does="NEW.pony_id = 9", sqlite=update)

    with pytest.raises(VerificationFailed, match="references of ponies_secretnote moved: 0, but the plan says 1"):
        merge(ONE_NAME)

    assert snapshot() == before
    drop_trigger(ponies, "ponies_secretnote")
    resume_run(DedupeRun.objects.get().pk, ONE_NAME, apps=apps, using="default")
    assert rows_of("ponies_secretnote")[0]["pony_id"] == 1


def test_a_run_stops_where_a_trigger_keeps_a_field_from_being_filled(ponies: Database) -> None:
    twins(foaled=3)
    before = snapshot()
    keep_as_it_is(ponies, "ponies_pony", "foaled")

    with pytest.raises(VerificationFailed, match="switch off for the run the one that does"):
        merge(FILLED)

    assert snapshot() == before
    drop_trigger(ponies, "ponies_pony")
    assert resume_run(DedupeRun.objects.get().pk, FILLED, apps=apps, using="default").removed == 1
    assert rows_of("ponies_pony")[0]["foaled"] == 3


def test_a_trigger_that_leaves_what_is_written_alone_hinders_nothing(ponies: Database) -> None:
    twins(foaled=3)
    SecretNote.objects.create(pk=1, pony_id=2, text="hers")
    before = snapshot()
    keep_as_it_is(ponies, "ponies_secretnote", "text")

    run = merge(FILLED)

    assert (run.removed, run.repointed) == (1, 1)
    assert undo_run(run.id, apps=apps, using="default").refused == ()
    assert snapshot() == before


@pytest.mark.parametrize(("table", "column"), [("ponies_secretnote", "pony_id"), ("ponies_pony", "foaled")])
def test_an_undo_is_refused_where_a_trigger_keeps_a_value_from_coming_back(
    ponies: Database, table: str, column: str
) -> None:
    twins(foaled=3)
    SecretNote.objects.create(pk=1, pony_id=2, text="hers")
    before = snapshot()
    run = merge(FILLED)
    after = snapshot()
    keep_as_it_is(ponies, table, column)

    undone = undo_run(run.id, apps=apps, using="default")

    assert undone.restored == 0
    assert f"a value does not come back as it was ({column} of {table})" in undone.refused[0].reason
    assert snapshot() == after
    drop_trigger(ponies, table)
    assert undo_run(run.id, apps=apps, using="default").restored == 1
    assert snapshot() == before


def test_an_undo_is_refused_where_a_column_would_round_the_value_that_a_field_had(postgres_ponies: Database) -> None:
    postgres_ponies.execute("ALTER TABLE ponies_pony ALTER foaled TYPE timestamp(6) USING NULL")
    twins()
    postgres_ponies.execute("UPDATE ponies_pony SET foaled = '2023-01-01 00:00:00.25' WHERE id = 1")
    postgres_ponies.execute("UPDATE ponies_pony SET foaled = '2024-01-01' WHERE id = 2")
    before = snapshot()
    run = merge(FILLED).id
    postgres_ponies.execute("ALTER TABLE ponies_pony ALTER foaled TYPE timestamp(0)")

    undone = undo_run(run, apps=apps, using="default")
    postgres_ponies.execute("ALTER TABLE ponies_pony ALTER foaled TYPE timestamp(6)")

    assert "a value does not come back as it was (foaled of ponies_pony)" in undone.refused[0].reason
    assert undo_run(run, apps=apps, using="default").restored == 1
    assert snapshot() == before


def test_the_trigger_of_a_partition_is_known_as_one_of_the_tables(postgres_ponies: Database) -> None:
    twins()
    for statement in (
        "DROP TABLE ponies_oldnote",
        "CREATE TABLE ponies_oldnote (id bigint PRIMARY KEY, pony_id bigint, text text) PARTITION BY RANGE (id)",
        "CREATE TABLE notes_one PARTITION OF ponies_oldnote FOR VALUES FROM (1) TO (10)",
    ):
        postgres_ponies.execute(statement)
    OldNote.objects.create(pk=1, pony_id=2, text="hers")
    keep_as_it_is(postgres_ponies, "notes_one", "pony_id")

    assert make_plan(ONE_NAME, apps=apps, using="default").triggers == {"ponies_oldnote": ["meddler"]}
    with pytest.raises(VerificationFailed, match="references of ponies_oldnote moved: 0, but the plan says 1"):
        merge(ONE_NAME)
