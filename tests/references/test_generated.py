"""Referencing rows that are unique by a column that the database computes."""

from __future__ import annotations

import pytest

from tests.databases import Database
from tests.ponies.merging import ONE_NAME, column, twins
from tests.ponies.merging import merge as merge_rule
from tests.references.conftest import Merge


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
