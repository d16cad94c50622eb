"""What popular mergers of Django rows lose, each reproduced with them once: here nothing of it is lost.

The measured ones were django-extensions' ``merge_model_instances`` 4.1, django-super-deduper 0.1.4 and
django-adminactions 2.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from integrity.dedupe import RunSummary, apply_plan, make_plan, resume_run, unfinished_run
from integrity.signals import batch_step
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, column, merge, quarantined, twins
from tests.ponies.models import Brain, Passport, Pony, Remark, Ribbon, Score, SecretNote, Show, SoftNote
from tests.snapshots import snapshot

Merged = Callable[[], RunSummary]


def test_softly_deleted_children_follow_the_survivor(merge_ponies: Merged) -> None:
    """All three delete them."""
    first, second = twins()
    SoftNote.all_objects.create(pony=second, text="kept", deleted=True)

    merge_ponies()

    assert list(SoftNote.all_objects.values_list("pony", "text", "deleted")) == [(first.pk, "kept", True)]


def test_a_softly_deleted_duplicate_is_a_duplicate(merge_ponies: Merged) -> None:
    twins(gone=True)

    assert merge_ponies().removed == 1


def test_children_that_the_parent_does_not_know_follow_the_survivor(merge_ponies: Merged) -> None:
    """All three delete children behind ``related_name="+"``."""
    first, second = twins()
    SecretNote.objects.create(pony=second, text="kept")

    merge_ponies()

    assert list(SecretNote.objects.values_list("pony", "text")) == [(first.pk, "kept")]


def test_the_richer_of_two_children_that_collide_is_not_lost(merge_ponies: Merged) -> None:
    """One deletes it silently, the others crash."""
    first, second = twins()
    show = Show.objects.create(name="spring")
    poor = Ribbon.objects.create(pony=first, show=show)
    rich = Ribbon.objects.create(pony=second, show=show, place=1)

    run = merge_ponies()

    assert (run.removed, run.collisions) == (1, 1)
    assert list(Ribbon.objects.values_list("pk", "pony")) == [(poor.pk, first.pk)]
    (kept,) = quarantined("ponies_ribbon")
    assert (kept["id"], kept["pony_id"], kept["show_id"], kept["place"]) == (rich.pk, second.pk, show.pk, 1)
    assert (kept["integrity_reason"], kept["integrity_survivor_1"]) == ("collision", poor.pk)


def test_what_references_a_colliding_child_follows_the_one_that_stays(merge_ponies: Merged) -> None:
    first, second = twins()
    show = Show.objects.create(name="spring")
    stays = Ribbon.objects.create(pony=first, show=show)
    goes = Ribbon.objects.create(pony=second, show=show, place=1)
    Score.objects.create(ribbon=stays, judge=1, points=5)
    Score.objects.create(ribbon=goes, judge=1, points=6)
    Score.objects.create(ribbon=goes, judge=2, points=7)

    run = merge_ponies()

    assert run.collisions == 2
    assert list(Score.objects.order_by("points").values_list("ribbon", "points")) == [(stays.pk, 5), (stays.pk, 7)]
    assert [row["points"] for row in quarantined("ponies_score")] == [6]


def test_a_one_to_one_of_the_redundant_row_goes_to_the_survivor(merge_ponies: Merged) -> None:
    """One loses it."""
    first, second = twins()
    Passport.objects.create(pony=second, number="kept")
    Brain.objects.create(pony=second, thoughts="kept too")

    merge_ponies()

    assert Passport.objects.get().pony_id == first.pk
    assert Brain.objects.get().pk == first.pk


def test_a_one_to_one_that_is_empty_is_no_error(merge_ponies: Merged) -> None:
    """One crashes wherever a reverse one-to-one is empty."""
    first, _ = twins()
    Passport.objects.create(pony=first, number="kept")

    merge_ponies()

    assert list(Passport.objects.values_list("pony", "number")) == [(first.pk, "kept")]


def test_of_a_one_to_one_on_both_sides_neither_is_lost(merge_ponies: Merged) -> None:
    """One of the two is deleted silently."""
    first, second = twins()
    for pony in (first, second):
        Passport.objects.create(pony=pony, number=f"of {pony.pk}")
        Brain.objects.create(pony=pony, thoughts=f"of {pony.pk}")

    run = merge_ponies()

    assert run.collisions == 2
    assert column(Passport, "number") == column(Brain, "thoughts") == ["of 1"]
    assert [row["number"] for row in quarantined("ponies_passport")] == ["of 2"]
    assert [row["thoughts"] for row in quarantined("ponies_brain")] == ["of 2"]


def test_generic_references_follow_without_a_generic_relation(merge_ponies: Merged) -> None:
    """Two of the three leave them dangling."""
    first, second = twins()
    show = Show.objects.create(pk=second.pk, name="of the same number")
    Remark.objects.create(about=second, text="pony")
    Remark.objects.create(about=show, text="show")

    merge_ponies()

    about = {remark.text: remark.about for remark in Remark.objects.all()}
    assert about == {"pony": first, "show": show}


@pytest.mark.parametrize("step", ["locked", "children", "removed", "verified"])
def test_a_merge_that_fails_halfway_leaves_everything_as_it_was(ponies: Database, step: str) -> None:
    """One works without any transaction."""
    first, second = twins()
    for pony in (first, second):
        Passport.objects.create(pony=pony, number=f"of {pony.pk}")
        SecretNote.objects.create(pony=pony, text="kept")
    before = snapshot()
    plan = make_plan(ONE_NAME, apps=apps, using="default")

    def fail(**arguments: Any) -> None:
        if arguments["step"] == step:
            raise ZeroDivisionError

    batch_step.connect(fail)
    with pytest.raises(ZeroDivisionError):
        apply_plan(plan.id, ONE_NAME, apps=apps, using="default")
    batch_step.disconnect(fail)

    assert snapshot() == before
    assert quarantined("ponies_pony") == quarantined("ponies_passport") == []
    run = unfinished_run(ONE_NAME, apps=apps, using="default")
    assert run is not None
    assert resume_run(run, ONE_NAME, apps=apps, using="default").clean


def test_more_duplicates_and_more_children_do_not_take_more_statements(ponies: Database) -> None:
    """One took 33.5 s for 200 duplicates among 20,200 rows, another 7.2 s for 10,000 children: row by row."""
    few = statements_for(pairs=2, children=2)
    many = statements_for(pairs=60, children=30)

    assert many - few < 50, "not one more for each pair, let alone for each child"


def statements_for(*, pairs: int, children: int) -> int:
    start = pairs * 1000
    Pony.all_objects.bulk_create(Pony(pk=start + n, name=f"{start} {n // 2}") for n in range(pairs * 2))
    SecretNote.objects.bulk_create(
        SecretNote(pony_id=start + n, text="") for n in range(pairs * 2) for _ in range(children)
    )
    with CaptureQueriesContext(connection) as done:
        run = merge(ONE_NAME, batch_size=pairs)
    assert (run.removed, run.repointed) == (pairs, pairs * children)
    return len(done)
