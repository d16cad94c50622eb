"""A run is undone while a later one has removed what its rows point at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.apps import apps

from integrity.dedupe import DedupeRule, UndoSummary, undo_run
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, merge, twins
from tests.ponies.models import LooseNote, Pony, Remark, SecretNote
from tests.snapshots import snapshot


def undo(run: int, *, dry_run: bool = False) -> UndoSummary:
    return undo_run(run, apps=apps, using="default", dry_run=dry_run)


def secret(pony: Pony) -> SecretNote:
    return SecretNote.objects.create(pony=pony, text="bites")


def loose(pony: Pony) -> LooseNote:
    return LooseNote.objects.create(pony=pony, text="bites")


def remark(pony: Pony) -> Remark:
    return Remark.objects.create(about=pony, text="bites")


@pytest.mark.parametrize("note", [secret, loose, remark])
def test_a_row_waits_for_what_it_refers_to(
    ponies: Database, note: Callable[[Pony], SecretNote | LooseNote | Remark]
) -> None:
    first, second = twins()
    stays, _ = (note(pony) for pony in (first, second))
    before = snapshot()
    run = merge(DedupeRule(model=stays._meta.label, fields=("text",))).id
    later = merge(ONE_NAME).id
    between = snapshot()

    tried, refused = undo(run, dry_run=True), undo(run)

    assert tried.refused == refused.refused
    assert f"refers to one that run {later} has removed since; undo that first" in refused.refused[0].reason
    assert (tried.restored, refused.restored) == (0, 0)
    assert snapshot() == between
    assert undo(later).refused == ()
    assert undo(run).refused == ()
    assert snapshot() == before


def test_a_survivor_that_a_later_run_has_repointed_waits_for_its_undo(ponies: Database) -> None:
    first, _ = twins()
    old, new = (Pony.all_objects.create(pk=pk, name=name) for pk, name in ((3, "Dusty"), (4, "Rusty")))
    Pony.all_objects.filter(pk=first.pk).update(sire=new)
    run = merge(ONE_NAME).id
    Pony.all_objects.filter(pk=new.pk).update(name=old.name)
    later = merge(ONE_NAME).id

    (refusal,) = undo(run).refused

    assert refusal.reason == f"run {later} has changed the same rows since; undo it first"
    assert undo(later).refused == ()
    assert undo(run).refused == ()


def test_a_repointed_row_that_has_survived_a_later_run_waits_for_its_undo(ponies: Database) -> None:
    first, second = twins()
    for pony in (second, first):
        loose(pony)
    before = snapshot()
    run = merge(ONE_NAME).id
    later = merge(DedupeRule(model="ponies.LooseNote", fields=("text",))).id

    (refusal,) = undo(run).refused

    assert refusal.reason == f"run {later} has changed the same rows since; undo it first"
    assert undo(later).refused == ()
    assert undo(run).refused == ()
    assert snapshot() == before


def test_a_row_comes_back_to_another_one_that_has_the_id_now(ponies: Database) -> None:
    first, second = twins()
    _, note = (secret(pony) for pony in (first, second))
    run = merge(DedupeRule(model="ponies.SecretNote", fields=("text",))).id
    merge(ONE_NAME)
    Pony.all_objects.create(pk=second.pk, name="Dusty")

    assert undo(run).refused == ()
    assert SecretNote.objects.filter(pk=note.pk, pony_id=second.pk).exists()
