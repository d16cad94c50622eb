"""What is written after the plan was made is never undone by the plan: the group is refused, or the row just stays."""

from __future__ import annotations

import pytest
from django.apps import apps

from integrity.dedupe import apply_plan, make_plan
from tests.databases import Database
from tests.ponies.merging import quarantined, rows_of
from tests.races.conftest import NAMES
from tests.snapshots import Snapshot, snapshot

NOTE = "INSERT INTO ponies_secretnote (id, pony_id, text) VALUES (9, 4, 'mine')"
LOOSE = "INSERT INTO ponies_loosenote (id, pony_id, text) VALUES (9, 4, 'mine')"
MEMBER = "INSERT INTO ponies_pony (id, name, gone) VALUES (9, 'pair 2', false)"
REFUSED = {
    "a redundant row is edited": "UPDATE ponies_pony SET foaled = 7 WHERE id = 4",
    "the survivor is edited": "UPDATE ponies_pony SET foaled = 7 WHERE id = 3",
    "a redundant row gets another key": "UPDATE ponies_pony SET name = 'mine' WHERE id = 4",
    "the survivor gets another key": "UPDATE ponies_pony SET name = 'mine' WHERE id = 3",
    "a member joins": MEMBER,
    "a child comes": NOTE,
    "a child comes of which the database knows nothing": LOOSE,
    "a child turns to a redundant row": "UPDATE ponies_secretnote SET pony_id = 4 WHERE id = 2",
    "a child turns away": "UPDATE ponies_secretnote SET pony_id = 5 WHERE id = 4",
    "a child goes": "DELETE FROM ponies_secretnote WHERE id = 4",
    "the survivor goes": "DELETE FROM ponies_pony WHERE id = 3",
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=[name.replace(" ", "_") for name in REFUSED])
def test_the_changed_group_is_refused_and_the_others_are_merged(pairs: Database, change: str) -> None:
    plan = make_plan(NAMES, apps=apps, using="default")
    pairs.execute(change)
    written = snapshot()

    run = apply_plan(plan.id, NAMES, apps=apps, using="default")

    assert all(refusal.reason for refusal in run.refused)
    untouched = second_group(written)
    assert second_group(snapshot()) == untouched
    assert 4 not in {row["id"] for row in quarantined("ponies_pony")}
    assert run.removed >= 1


def second_group(rows: Snapshot) -> Snapshot:
    """The rows of the second pair: its ponies (3, 4, 9) and what references pony 4."""
    members = [row for row in rows["ponies_pony"] if row[0] in (3, 4, 9)]
    notes = ("ponies_secretnote", "ponies_loosenote", "ponies_passport")
    return {"ponies_pony": members, **{name: [row for row in rows[name] if 4 in row[1:]] for name in notes}}


def test_what_else_a_child_says_is_no_part_of_the_decision_and_stays(pairs: Database) -> None:
    plan = make_plan(NAMES, apps=apps, using="default")
    pairs.execute("UPDATE ponies_secretnote SET text = 'mine' WHERE id = 4")

    run = apply_plan(plan.id, NAMES, apps=apps, using="default")

    assert run.removed == 3
    assert [(row["pony_id"], row["text"]) for row in rows_of("ponies_secretnote") if row["id"] == 4] == [(3, "mine")]


def test_a_group_that_was_merged_by_hand_is_refused(pairs: Database) -> None:
    plan = make_plan(NAMES, apps=apps, using="default")
    for table in ("secretnote", "loosenote", "passport"):
        pairs.execute(f"UPDATE ponies_{table} SET pony_id = 3 WHERE pony_id = 4")
    pairs.execute("DELETE FROM ponies_pony WHERE id = 4")

    run = apply_plan(plan.id, NAMES, apps=apps, using="default")

    assert (run.removed, run.groups_left) == (2, 0)
    assert sum(refusal.groups for refusal in run.refused) >= 1
