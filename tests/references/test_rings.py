"""Tables that point at each other, and children that point at themselves, when rows of theirs collide."""

from __future__ import annotations

import pytest
from django.apps import apps

from integrity.dedupe import apply_plan, make_plan
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, rows_of, twins
from tests.ponies.merging import merge as merge_rule
from tests.ponies.models import Pony
from tests.references.conftest import Merge
from tests.snapshots import snapshot

WAITS = "DEFERRABLE INITIALLY DEFERRED"
ACTS = ["ON DELETE SET NULL", "ON DELETE CASCADE"]
"""What a foreign key may do to a row when the one that it points at goes, and before the row has moved."""


def homes(ponies: Database, how: str) -> None:
    """Ponies have homes, one of each street; and each pony has one where it is at home."""
    ponies.execute(
        "CREATE TABLE home (id int PRIMARY KEY, pony bigint NOT NULL REFERENCES ponies_pony, street text, "
        "UNIQUE (pony, street))"
    )
    ponies.execute(f"ALTER TABLE ponies_pony ADD COLUMN home int REFERENCES home {how}")


def letters(ponies: Database, how: str, unique: str) -> None:
    """Ponies get letters that answer others."""
    ponies.execute(
        "CREATE TABLE letter (id int PRIMARY KEY, pony bigint NOT NULL REFERENCES ponies_pony, text text, "
        f"answers int REFERENCES letter {how}, UNIQUE ({unique}))"
    )


@pytest.mark.parametrize("how", [WAITS, *ACTS])
def test_a_row_that_points_at_a_colliding_child_of_its_own(ponies: Database, merge: Merge, how: str) -> None:
    homes(ponies, how)
    twins()
    ponies.execute("INSERT INTO home VALUES (1, 1, 'oak'), (2, 2, 'oak')")
    ponies.execute("UPDATE ponies_pony SET home = id")
    before = snapshot()

    run = merge(model="ponies.Pony", fields=("name",))

    if how == WAITS:
        assert (run.removed, run.collisions, run.refused) == (1, 1, ())
        assert [(row["id"], row["home"]) for row in rows_of("ponies_pony")] == [(1, 1)]
    else:
        (refusal,) = run.refused
        assert refusal.reason.startswith("a row of home would go while ponies_pony.home still points at it")
        assert snapshot() == before


@pytest.mark.parametrize("how", ACTS)
def test_a_survivor_that_can_leave_a_colliding_child_only_later(ponies: Database, merge: Merge, how: str) -> None:
    homes(ponies, how)
    ponies.execute("CREATE UNIQUE INDEX one_pony_at_home ON ponies_pony (home)")
    twins()
    ponies.execute("INSERT INTO home VALUES (1, 1, 'oak'), (2, 2, 'oak')")
    ponies.execute("UPDATE ponies_pony SET home = 2 WHERE id = 1")
    before = snapshot()

    run = merge(model="ponies.Pony", fields=("name",))

    assert [refusal.groups for refusal in run.refused] == [1]
    assert snapshot() == before


@pytest.mark.parametrize("how", [WAITS, *ACTS])
def test_a_child_that_points_at_a_colliding_one(ponies: Database, merge: Merge, how: str) -> None:
    letters(ponies, how, "pony, text")
    twins()
    ponies.execute("INSERT INTO letter VALUES (1, 1, 'hello', NULL), (2, 2, 'hello', NULL), (3, 1, 'bye', 2)")
    before = snapshot()

    run = merge(model="ponies.Pony", fields=("name",))

    if how == WAITS:
        assert run.refused == ()
        assert sorted((row["id"], row["answers"]) for row in rows_of("letter")) == [(1, None), (3, 1)]
    else:
        (refusal,) = run.refused
        assert refusal.reason.startswith("a row of letter would go while letter.answers still points at it")
        assert snapshot() == before


def test_what_children_point_at_does_not_turn_the_choice_between_them(ponies: Database, merge: Merge) -> None:
    letters(ponies, WAITS, "pony")
    twins()
    ponies.execute("INSERT INTO letter VALUES (2, 2, 'second', 2)")
    ponies.execute("INSERT INTO letter VALUES (3, 1, 'first', 2)")

    run = merge(model="ponies.Pony", fields=("name",))

    assert run.refused == ()
    assert [(row["id"], row["answers"]) for row in rows_of("letter")] == [(3, 3)]


def test_a_row_that_points_at_a_colliding_child_of_another_group_goes_with_it(ponies: Database) -> None:
    homes(ponies, WAITS)
    twins()
    for pk in (3, 4):
        Pony.all_objects.create(pk=pk, name="Star")
    ponies.execute("INSERT INTO home VALUES (1, 1, 'oak'), (2, 2, 'oak')")
    ponies.execute("UPDATE ponies_pony SET home = 2 WHERE id = 4")

    run = merge_rule(ONE_NAME, batch_size=1)

    assert (run.removed, run.collisions, run.refused) == (2, 1, ())


def test_rows_of_the_rules_own_table_that_would_collide_are_no_duplicates_and_stay(ponies: Database) -> None:
    ponies.execute("CREATE UNIQUE INDEX one_foal_a_year ON ponies_pony (sire_id, foaled)")
    twins()
    Pony.all_objects.create(pk=3, name="Star", sire_id=1, foaled=5)
    Pony.all_objects.create(pk=4, name="Moon", sire_id=2, foaled=5)
    before = snapshot()

    plan = make_plan(ONE_NAME, apps=apps, using="default")
    run = apply_plan(plan.id, ONE_NAME, apps=apps, using="default")

    for refused in (plan.refused, run.refused):
        assert [(one.reason, one.groups) for one in refused] == [
            ("rows of ponies_pony that are no duplicates would break another uniqueness of it", 1)
        ]
    assert snapshot() == before
