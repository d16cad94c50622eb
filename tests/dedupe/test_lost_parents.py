"""A run is undone after somebody has deleted what its rows refer to: the trial knows as well as the undo."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

from integrity.dedupe import DedupeRule, undo_run
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, merge, twins
from tests.ponies.models import LooseNote, Pony, SecretNote
from tests.snapshots import snapshot


def refusal_of(run: int) -> tuple[str, str]:
    """The one reason, and the row that is named, of the trial and of the undo, which change nothing."""
    before = snapshot()
    tried, undone = (undo_run(run, apps=apps, using="default", dry_run=dry_run) for dry_run in (True, False))
    assert snapshot() == before
    assert tried.refused == undone.refused
    assert (tried.restored, tried.repointed) == (undone.restored, undone.repointed) == (0, 0)
    (refusal,) = undone.refused
    return refusal.reason, refusal.example


def delete(pony: Pony) -> None:
    """As a person with a prompt does: nothing that Django would do beside it."""
    Pony.all_objects.filter(pk=pony.pk)._raw_delete("default")


def test_a_row_waits_for_a_parent_that_was_deleted(ponies: Database) -> None:
    first, second = twins()
    SecretNote.objects.create(pony=first, text="bites")
    note = SecretNote.objects.create(pony=second, text="bites")
    before = snapshot()
    run = merge(DedupeRule(model="ponies.SecretNote", fields=("text",))).id
    delete(second)

    reason, example = refusal_of(run)

    assert reason == (
        "pony_id of a row of ponies_secretnote would refer to a row of ponies_pony that was deleted since; "
        "bring that one back first"
    )
    assert example.startswith(f"row {note.pk} in group ")
    second.save(force_insert=True)
    assert undo_run(run, apps=apps, using="default").refused == ()
    assert snapshot() == before


def test_a_row_waits_for_a_row_of_its_own_table_that_was_deleted(ponies: Database) -> None:
    sire = Pony.all_objects.create(pk=3, name="Dusty")
    twins(sire=sire)
    before = snapshot()
    run = merge(ONE_NAME).id
    delete(sire)

    assert "sire_id of a row of ponies_pony would refer to a row of ponies_pony" in refusal_of(run)[0]
    sire.save(force_insert=True)
    assert undo_run(run, apps=apps, using="default").refused == ()
    assert snapshot() == before


def test_a_row_whose_parent_comes_back_with_it_waits_for_nobody(ponies: Database) -> None:
    first, second = twins()
    foals = [Pony.all_objects.create(pk=pk, name="Foal", sire=sire) for pk, sire in ((3, first), (4, second))]
    before = snapshot()
    run = merge(DedupeRule(model="ponies.Pony", fields=("name",))).id
    assert not Pony.all_objects.filter(pk__in=[second.pk, foals[1].pk]).exists()

    tried = undo_run(run, apps=apps, using="default", dry_run=True)

    assert (tried.refused, tried.restored) == ((), 2)
    assert undo_run(run, apps=apps, using="default").refused == ()
    assert snapshot() == before


def test_a_survivor_waits_for_what_it_referred_to_before_the_merge(ponies: Database) -> None:
    first, second = twins()
    for pony in (first, second):
        SecretNote.objects.create(pony=pony, text="bites")
    before = snapshot()
    run = merge(DedupeRule(model="ponies.SecretNote", fields=("text",), merge={"pony": "max"})).id
    delete(first)

    assert refusal_of(run)[0].startswith("pony_id of a row of ponies_secretnote would refer to a row of ponies_pony")
    first.save(force_insert=True)
    assert undo_run(run, apps=apps, using="default").refused == ()
    assert snapshot() == before


def test_a_key_that_the_database_does_not_enforce_keeps_nobody(postgres_ponies: Database) -> None:
    if connection.pg_version < 180000:  # type: ignore[attr-defined]
        pytest.skip("NOT ENFORCED is new in PostgreSQL 18")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ponies_loosenote ADD FOREIGN KEY (pony_id) REFERENCES ponies_pony NOT ENFORCED")
    for nowhere in (77, 78):
        LooseNote.objects.create(pony_id=nowhere, text="bites")
    before = snapshot()

    run = merge(DedupeRule(model="ponies.LooseNote", fields=("text",))).id

    assert undo_run(run, apps=apps, using="default").refused == ()
    assert snapshot() == before
