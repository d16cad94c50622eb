"""Referencing rows that are unique by what the database computes: a column, or an expression of an index."""

from __future__ import annotations

import pytest
from django.apps import apps

from integrity.dedupe import apply_plan, make_plan
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, column, rows_of, twins
from tests.ponies.merging import merge as merge_rule
from tests.ponies.models import Pony
from tests.references.conftest import Merge
from tests.snapshots import snapshot


def test_children_collide_by_an_expression_on_a_computed_column(merge: Merge, ponies: Database) -> None:
    twins()
    ponies.execute(
        "CREATE TABLE stamp (id int PRIMARY KEY, pony bigint REFERENCES ponies_pony, word text, "
        "mark text GENERATED ALWAYS AS (word || '!') STORED)"
    )
    ponies.execute("CREATE UNIQUE INDEX one_stamp ON stamp (pony, lower(mark)) WHERE mark <> 'none!'")
    for row in ((1, 1, "a"), (2, 2, "A"), (3, 2, "b"), (4, 1, "none"), (5, 2, "none")):
        ponies.execute(f"INSERT INTO stamp (id, pony, word) VALUES {row}")

    run = merge(model="ponies.Pony", fields=("name",))

    assert (run.removed, run.collisions) == (1, 1)
    assert column("stamp", "id") == [1, 3, 4, 5]
    assert set(column("stamp", "pony")) == {1}


@pytest.mark.parametrize("standing", [True, False])
def test_children_collide_by_a_column_computed_from_the_reference(postgres_ponies: Database, standing: bool) -> None:
    twins()
    postgres_ponies.execute(
        "CREATE TABLE stamp (id int PRIMARY KEY, pony bigint REFERENCES ponies_pony, word text, "
        "mark text GENERATED ALWAYS AS (pony::text || word) STORED UNIQUE)"
    )
    rows = [(1, 1, "a"), (2, 2, "a"), (3, 2, "b")] if standing else [(2, 2, "a"), (3, 2, "b")]
    for row in rows:
        postgres_ponies.execute(f"INSERT INTO stamp (id, pony, word) VALUES {row}")

    run = merge_rule(ONE_NAME)

    assert run.collisions == (1 if standing else 0)
    assert column("stamp", "mark") == ["1a", "1b"]


@pytest.fixture
def boxes(ponies: Database) -> None:
    """Two pairs of ponies, each with a box; both boxes come to one last digit when they follow."""
    ponies.execute("CREATE TABLE ponies_box (id int PRIMARY KEY, pony bigint REFERENCES ponies_pony)")
    ponies.execute("CREATE UNIQUE INDEX one_per_digit ON ponies_box ((pony - pony / 10 * 10))")
    for pk, name in ((10, "Misty"), (11, "Misty"), (20, "Star"), (22, "Star")):
        Pony.all_objects.create(pk=pk, name=name)
    ponies.execute("INSERT INTO ponies_box VALUES (1, 11), (2, 22)")


@pytest.mark.usefixtures("boxes")
def test_children_of_two_groups_collide_by_an_expression(merge: Merge) -> None:
    run = merge(model="ponies.Pony", fields=("name",))

    assert (run.removed, run.collisions, run.refused) == (2, 1, ())
    assert rows_of("ponies_box") == [{"id": 1, "pony": 10}]


@pytest.mark.usefixtures("boxes")
@pytest.mark.parametrize("edited", [11, 22])
def test_groups_whose_children_yield_to_each_other_are_settled_or_left_together(ponies: Database, edited: int) -> None:
    plan = make_plan(ONE_NAME, apps=apps, using="default")
    ponies.execute(f"UPDATE ponies_pony SET code = 'x' WHERE id = {edited}")
    before = snapshot()

    run = apply_plan(plan.id, ONE_NAME, apps=apps, using="default", batch_size=1)

    assert [refusal.groups for refusal in run.refused] == [2]
    assert snapshot() == before
