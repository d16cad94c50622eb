"""Plans revised before they are applied, on rows that reference each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.apps import apps

from integrity.dedupe import (
    DedupeRule,
    PlanChanged,
    PlanSummary,
    UnknownGroup,
    UnknownPlan,
    UnknownRow,
    apply_plan,
    make_plan,
    revise_plan,
    undo_run,
)
from tests.databases import Database
from tests.ponies.merging import column
from tests.ponies.models import Bridle, Pony, SecretNote
from tests.snapshots import snapshot

BY_NAME = DedupeRule(model="ponies.Pony", fields=("name",))


@pytest.fixture
def plan(ponies: Database) -> PlanSummary:
    """Three pairs of ponies, 2/3, 4/5 and 6/7; a bridle ties the first two groups; notes of 3 and 2."""
    for number in (1, 2, 3):
        for member in (0, 1):
            Pony.all_objects.create(pk=2 * number + member, name=f"pony {number}", code=f"{number}-{member}")
    Bridle.objects.create(left_id=3, right_id=5)
    SecretNote.objects.create(pk=1, pony_id=3, text="of 3")
    SecretNote.objects.create(pk=2, pony_id=2, text="of 2")
    return make_plan(BY_NAME, apps=apps, using="default")


def revise(plan: PlanSummary, **changes: object) -> PlanSummary:
    return revise_plan(plan.id, BY_NAME, apps=apps, using="default", **changes)  # type: ignore[arg-type]


def test_another_survivor_takes_the_references_with_it_and_all_can_be_undone(plan: PlanSummary) -> None:
    before = snapshot()

    revised = revise(plan, survivors={1: "3"})
    run = apply_plan(plan.id, BY_NAME, apps=apps, using="default")

    assert (revised.id, revised.by_hand, revised.groups) == (plan.id, 1, 3)
    assert revised.digest != plan.digest
    assert run.clean
    assert column(Pony, "id") == [3, 4, 6]
    assert column(SecretNote, "pony_id") == [3, 3]
    assert (column(Bridle, "left_id"), column(Bridle, "right_id")) == ([3], [4])
    undo_run(run.id, apps=apps, using="default")
    assert snapshot() == before


def test_groups_tied_to_an_excluded_one_stay_with_it(plan: PlanSummary) -> None:
    revised = revise(plan, exclude=[1])
    run = apply_plan(plan.id, BY_NAME, apps=apps, using="default")

    assert revised.refused_groups == 2
    assert run.groups_left == 2
    assert column(Pony, "id") == [2, 3, 4, 5, 6]


def test_what_is_excluded_does_not_count_as_going(plan: PlanSummary) -> None:
    revised = revise(plan, exclude=[1])
    run = apply_plan(plan.id, BY_NAME, apps=apps, using="default")

    assert (plan.redundant, plan.staying, revised.redundant, revised.staying) == (3, 0, 3, 2)
    assert plan.repointed > revised.repointed == run.repointed
    assert revised.redundant - revised.staying == run.removed


def test_revisions_add_up_and_their_order_does_not_matter(plan: PlanSummary) -> None:
    revise(plan, exclude=[3])
    one = revise(plan, survivors={1: "3"})
    again = make_plan(BY_NAME, apps=apps, using="default")
    revise(again, survivors={1: "3"})
    other = revise(again, exclude=[3])

    assert one.digest == other.digest
    assert one.refused_groups == 1


def test_what_the_survivors_are_filled_with_is_part_of_the_digest(ponies: Database) -> None:
    Pony.all_objects.create(pk=1, name="Misty", code="m1", foaled=1)
    Pony.all_objects.create(pk=2, name="Misty", code="m2", foaled=2)
    rules = [replace(BY_NAME, merge={"foaled": how}) for how in ("max", "sum", "sum")]

    largest, total, again = (make_plan(rule, apps=apps, using="default").digest for rule in rules)

    assert largest != total == again


def test_the_old_survivor_named_again_gives_the_old_digest(plan: PlanSummary) -> None:
    revise(plan, survivors={1: "3"})

    assert revise(plan, survivors={1: "2"}).digest == plan.digest


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"exclude": [4]}, UnknownGroup),
        ({"exclude": [0]}, UnknownGroup),
        ({"survivors": {9: "2"}}, UnknownGroup),
        ({"survivors": {1: "4"}}, UnknownRow),
        ({"survivors": {1: "no number"}}, UnknownRow),
        ({"survivors": {1: ""}}, UnknownRow),
        ({"exclude": [1], "digest": "another"}, PlanChanged),
    ],
)
def test_a_revision_that_cannot_be_changes_nothing(
    plan: PlanSummary, changes: dict[str, object], error: type[Exception]
) -> None:
    before = snapshot(own_books=True)

    with pytest.raises(error):
        revise(plan, **changes)

    assert snapshot(own_books=True) == before


def test_a_plan_that_was_applied_is_not_revised(plan: PlanSummary) -> None:
    apply_plan(plan.id, BY_NAME, apps=apps, using="default")

    with pytest.raises(UnknownPlan, match="applied before"):
        revise(plan, exclude=[1])


def test_a_row_that_changed_since_the_plan_is_not_made_the_survivor_unseen(plan: PlanSummary) -> None:
    Pony.all_objects.filter(pk=3).update(foaled=9)
    revise(plan, survivors={1: "3"})

    run = apply_plan(plan.id, BY_NAME, apps=apps, using="default")

    assert "changed after the plan" in run.refused[0].reason
    assert 2 in column(Pony, "id")
