"""What a run refused can be planned by itself: only its rows are read, and the rest of the table plays no part."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from django.apps import apps

from integrity.dedupe import DedupeRule, RunSummary, UnknownPlan, UnknownRun, apply_plan, make_plan
from integrity.rules.wording import Wording
from tests.commands import CommandResult
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, merge, quarantined, rows_of
from tests.ponies.models import Pony

Call = Callable[..., CommandResult]


def herd(*names: str) -> None:
    """Two ponies of each name, numbered from 1."""
    Pony.all_objects.bulk_create(
        Pony(pk=2 * n + m, name=name, code=f"{n}-{m}") for n, name in enumerate(names) for m in (1, 2)
    )


@pytest.fixture
def left(ponies: Database) -> RunSummary:
    """A run that merged Misty, and refused Snowy because pony 4 was written to meanwhile; Dusty came after it."""
    herd("Misty", "Snowy")
    wording = Wording(model="ponies.Pony", key=("name",)).to_json()
    plan = make_plan(ONE_NAME, apps=apps, using="default", wording=wording)
    Pony.all_objects.filter(pk=4).update(foaled=7)
    run = apply_plan(plan.id, ONE_NAME, apps=apps, using="default")
    assert [refusal.groups for refusal in run.refused] == [1]
    Pony.all_objects.bulk_create(Pony(pk=pk, name="Dusty", code=f"{pk}") for pk in (5, 6))
    return run


def test_a_refused_group_is_planned_and_no_other(left: RunSummary) -> None:
    plan = make_plan(ONE_NAME, apps=apps, using="default", left_by=left.id)
    run = apply_plan(plan.id, ONE_NAME, apps=apps, using="default")

    assert (plan.groups, plan.redundant, plan.left_by) == (1, 1, left.id)
    assert (run.removed, run.refused, run.groups_left) == (1, (), 1)
    assert sorted(row["id"] for row in rows_of("ponies_pony")) == [1, 3, 5, 6]
    assert sorted((row["id"], row["foaled"]) for row in quarantined("ponies_pony")) == [(2, None), (4, 7)]


def test_a_row_that_joined_since_is_not_overlooked(left: RunSummary) -> None:
    Pony.all_objects.create(pk=7, name="Snowy", code="7")

    plan = make_plan(ONE_NAME, apps=apps, using="default", left_by=left.id)
    run = apply_plan(plan.id, ONE_NAME, apps=apps, using="default")

    assert ([refusal.reason for refusal in run.refused], run.removed) == (
        ["a row with the same key was added after the plan was made; run again to plan anew"],
        0,
    )
    assert merge(ONE_NAME).clean


def test_a_group_that_has_no_duplicates_any_more_is_no_group(left: RunSummary) -> None:
    Pony.all_objects.filter(pk=4).delete()

    assert make_plan(ONE_NAME, apps=apps, using="default", left_by=left.id).groups == 0


def test_a_run_that_left_nothing_leaves_nothing_to_plan(left: RunSummary) -> None:
    second = merge(ONE_NAME)

    assert make_plan(ONE_NAME, apps=apps, using="default", left_by=second.id).groups == 0


def test_a_run_on_another_table_is_none_of_the_rules(left: RunSummary) -> None:
    shows = DedupeRule(model="ponies.Show", fields=("name",))

    with pytest.raises(UnknownPlan, match=f"Run {left.id} is on table 'ponies_pony', not on 'ponies_show'"):
        make_plan(shows, apps=apps, using="default", left_by=left.id)
    with pytest.raises(UnknownRun, match="There is no run 99"):
        make_plan(ONE_NAME, apps=apps, using="default", left_by=99)


def test_a_plan_without_its_side_tables_is_named(left: RunSummary, ponies: Database) -> None:
    ponies.execute(f"DROP TABLE integrity_plan_{left.plan}")

    with pytest.raises(UnknownPlan, match=f"side tables of plan {left.plan} are not in this database"):
        make_plan(ONE_NAME, apps=apps, using="default", left_by=left.id)


def test_keys_of_several_columns(ponies: Database) -> None:
    laps = DedupeRule(model="ponies.Lap", fields=("clock",))
    ponies.execute("INSERT INTO ponies_lap (race, number, clock) VALUES ('a', 1, 7), ('a', 2, 7)")
    ponies.execute("INSERT INTO ponies_lap (race, number, clock) VALUES ('b', 1, 8), ('a', 3, 8), ('b', 2, 8)")
    plan = make_plan(laps, apps=apps, using="default")
    ponies.execute("DELETE FROM ponies_lap WHERE race = 'b' AND number = 2")
    run = apply_plan(plan.id, laps, apps=apps, using="default")
    assert (run.removed, len(run.refused)) == (1, 1)

    again = make_plan(laps, apps=apps, using="default", left_by=run.id)

    assert again.groups == 1
    assert apply_plan(again.id, laps, apps=apps, using="default").clean
    assert sorted((row["race"], row["number"]) for row in rows_of("ponies_lap")) == [("a", 1), ("a", 3)]


def test_the_command_knows_the_rule_of_the_run(left: RunSummary, call: Call) -> None:
    shown = call("dedupe", "--left-by", str(left.id))
    assert (shown.code, "others than run 1 left were not looked for" in " ".join(shown.out.split())) == (0, True)

    applied = call("dedupe", "--left-by", str(left.id), "--apply", "--no-input", "--no-verify")

    assert (applied.code, applied.err) == (0, "")
    assert sorted(row["id"] for row in rows_of("ponies_pony")) == [1, 3, 5, 6]
    assert "none has duplicates now" in call("dedupe", "--left-by", str(left.id)).out


def test_a_run_that_refused_says_how_to_plan_that_alone(ponies: Database, call: Call) -> None:
    herd("Misty", "Snowy")
    number = json.loads(call("dedupe", "ponies.Pony", "--key", "name", "--format", "json").out)["plan"]["id"]
    Pony.all_objects.filter(pk=4).update(foaled=7)

    ran = call("dedupe", "--plan", str(number), "--apply", "--no-input")

    (step,) = re.findall(r"manage\.py (dedupe --left-by \d+)", ran.out)
    assert ran.code == 1
    assert call(*step.split(), "--apply", "--no-input").code == 0


@pytest.mark.parametrize("words", [("ponies.Pony", "--key", "name"), ("--keep", "latest")], ids=" ".join)
def test_the_rule_is_not_said_again(left: RunSummary, call: Call, words: tuple[str, ...]) -> None:
    refused = call("dedupe", "--left-by", str(left.id), *words)

    assert refused.code == 2
    assert f"Run {left.id} says what its rule is (ponies.Pony:name): leave the rule out." in refused.err


def test_it_is_for_new_plans(left: RunSummary, call: Call) -> None:
    stored, listed = (call("dedupe", "--left-by", "1", *what) for what in (("--plan", str(left.plan)), ("--list",)))

    assert (stored.code, listed.code) == (2, 2)
    assert "is made already: --keep, --limit and --left-by are for new plans." in stored.err
    assert "--left-by means nothing beside --list" in listed.err
