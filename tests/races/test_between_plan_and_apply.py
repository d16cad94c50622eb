"""What is written after the plan was made is never undone by the plan: the group is refused, or the row just stays."""

from __future__ import annotations

import pytest
from django.apps import apps

from integrity.dedupe import apply_plan, make_plan
from tests.databases import Database
from tests.ponies.merging import quarantined, rows_of
from tests.races.conftest import NAMES
from tests.snapshots import Snapshot, snapshot

pytestmark = pytest.mark.slow

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


@pytest.mark.parametrize("row", [3, 4])
def test_a_row_that_was_written_again_as_it_was_does_not_stop_its_group(pairs: Database, row: int) -> None:
    """It is another version of the row at another place, with the same values."""
    plan = make_plan(NAMES, apps=apps, using="default")
    pairs.execute(f"UPDATE ponies_pony SET foaled = foaled WHERE id = {row}")

    run = apply_plan(plan.id, NAMES, apps=apps, using="default")

    assert (run.removed, run.refused, run.groups_left) == (3, (), 0)


def test_a_member_that_joins_while_another_one_goes_is_noticed(pairs: Database) -> None:
    plan = make_plan(NAMES, apps=apps, using="default")
    for table in ("secretnote", "loosenote", "passport"):
        pairs.execute(f"DELETE FROM ponies_{table} WHERE pony_id = 4")
    pairs.execute("DELETE FROM ponies_pony WHERE id = 4")
    pairs.execute(MEMBER)

    run = apply_plan(plan.id, NAMES, apps=apps, using="default")

    assert (run.removed, run.groups_left) == (2, 1)
    assert {row["id"] for row in rows_of("ponies_pony")} == {1, 3, 5, 9}


def test_rows_that_a_trigger_moves_within_their_batch_are_removed_all_the_same(postgres_pairs: Database) -> None:
    """Like a counter in the parent that follows its children: the redundant row changes as they leave it."""
    postgres_pairs.execute("""
        CREATE FUNCTION count_notes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE ponies_pony SET foaled = COALESCE(foaled, 0) + 1 WHERE id IN (OLD.pony_id, NEW.pony_id);
            RETURN NULL;
        END $$
    """)
    postgres_pairs.execute(
        "CREATE TRIGGER notes AFTER UPDATE ON ponies_secretnote FOR EACH ROW EXECUTE FUNCTION count_notes()"
    )
    plan = make_plan(NAMES, apps=apps, using="default")

    run = apply_plan(plan.id, NAMES, apps=apps, using="default")

    assert (run.removed, run.refused, run.groups_left) == (3, (), 0)
    assert [(row["id"], row["foaled"]) for row in rows_of("ponies_pony")] == [(1, 1), (3, 1), (5, 1)]
    assert [(row["id"], row["foaled"]) for row in quarantined("ponies_pony")] == [(2, 1), (4, 1), (6, 1)]


def test_a_group_that_was_merged_by_hand_is_refused(pairs: Database) -> None:
    plan = make_plan(NAMES, apps=apps, using="default")
    for table in ("secretnote", "loosenote", "passport"):
        pairs.execute(f"UPDATE ponies_{table} SET pony_id = 3 WHERE pony_id = 4")
    pairs.execute("DELETE FROM ponies_pony WHERE id = 4")

    run = apply_plan(plan.id, NAMES, apps=apps, using="default")

    assert (run.removed, run.groups_left) == (2, 0)
    assert sum(refusal.groups for refusal in run.refused) >= 1
