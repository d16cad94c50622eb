"""Long chains, wide tables and many refusals: what is asked of the database stays in proportion."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from integrity.dedupe import DedupeRule, MostComplete, make_plan, summarize_plan, undo_run
from integrity.dedupe.references import references_to
from integrity.dedupe.sizes import BatchSize
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, merge, rows_of, twins
from tests.ponies.models import Label, Pony, Remark
from tests.snapshots import snapshot

GENERATIONS = 60


def test_a_chain_of_groups_is_tied_together_in_a_few_passes(ponies: Database) -> None:
    for generation in range(GENERATIONS):  # named so that the order of the names is not that of the chain
        for twin in (1, 2):
            sire = generation * 2 if generation else None
            Pony.all_objects.create(pk=generation * 2 + twin, name=f"{generation * 37 % 61}", sire_id=sire)
    before = snapshot()

    with CaptureQueriesContext(connection) as asked:
        run = merge(ONE_NAME)

    spreading = [query for query in asked if "UPDATE" in query["sql"] and ".least" in query["sql"]]
    assert (run.removed, run.refused) == (GENERATIONS, ())
    assert len(spreading) < GENERATIONS / 4
    assert undo_run(run.id, apps=apps, using="default").refused == ()
    assert snapshot() == before


def test_without_an_index_on_the_key_new_members_of_all_groups_may_be_sought_by_reading_the_table(
    postgres_ponies: Database,
) -> None:
    twins()
    allowed: list[Any] = []

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        if "'joined'" in sql:
            with connection.cursor() as cursor:
                cursor.execute("SHOW enable_seqscan")
                allowed.extend(cursor.fetchone())
        return execute(sql, *rest)

    with connection.execute_wrapper(watch):
        run = merge(ONE_NAME)

    assert (run.removed, allowed) == (1, ["on"])


def test_the_groups_of_many_refusals_are_looked_up_by_an_index(sqlite_ponies: Database) -> None:
    twins()
    plan = make_plan(DedupeRule(model="ponies.Pony", fields=("name",), conflict="refuse"), apps=apps, using="default")

    with CaptureQueriesContext(connection) as asked:
        summarize_plan(plan.id, apps=apps, using="default")

    (summing,) = [query["sql"] for query in asked if "f.reason" in query["sql"]]
    steps = sqlite_ponies.execute(f"EXPLAIN QUERY PLAN {summing}")
    assert any(f"integrity_plan_{plan.id}_u (unit=?)" in step[-1] for step in steps)


def test_what_an_undo_refuses_is_looked_up_by_an_index(ponies: Database) -> None:
    twins()
    run = merge(ONE_NAME)

    with CaptureQueriesContext(connection) as asked:
        undo_run(run.id, apps=apps, using="default")

    made = [query["sql"] for query in asked if query["sql"].startswith("CREATE INDEX")]
    assert any(f'ON "integrity_undo_{run.id}_' in sql and sql.endswith("(unit)") for sql in made)


def test_ids_beside_a_content_type_are_looked_up_by_an_index_of_their_own(sqlite_ponies: Database) -> None:
    _, second = twins()
    Remark.objects.create(about=second, text="hers")

    with CaptureQueriesContext(connection) as asked:
        make_plan(ONE_NAME, apps=apps, using="default")

    (staging,) = [query["sql"] for query in asked if '_found" AS' in query["sql"] and '"about_id"' in query["sql"]]
    steps = [row[-1] for row in sqlite_ponies.execute(f"EXPLAIN QUERY PLAN {staging[staging.index('SELECT') :]}")]
    assert any(step.startswith("SEARCH c USING AUTOMATIC") and "about_id=?" in step for step in steps), steps
    assert any(step.startswith("SEARCH m1 USING AUTOMATIC") and "o1_1=?" in step for step in steps), steps


def test_an_index_on_content_type_and_id_serves_references_by_both(ponies: Database) -> None:
    by_both, by_type = (
        next(r for r in references_to("ponies_pony", apps=apps, using="default") if r.table == model._meta.db_table)
        for model in (Label, Remark)
    )

    assert (by_both.indexed, by_type.indexed) == (True, False)


@pytest.mark.parametrize(
    ("groups", "milliseconds", "then"),
    [
        (200, 30, 400),
        (200, 120, 100),
        (200, 800, 100),
        (30, 120, 20),
        (20, 400, 20),
        (20, 800, 10),
        (4, 800, 2),
        (4, 400, 8),
        (4, 30, 8),
        (1, 130, 2),
    ],
)
def test_batches_do_not_shrink_for_what_every_batch_costs(groups: int, milliseconds: int, then: int) -> None:
    assert sizes_after((groups, milliseconds)) == [then]


def test_few_groups_become_more_while_that_costs_no_more() -> None:
    assert sizes_after((1, 130), (2, 135), (4, 140), (8, 150), (16, 160), (20, 170)) == [2, 4, 8, 16, 20, 20]


def test_few_groups_stay_few_where_it_is_the_groups_that_cost() -> None:
    in_vain = sizes_after((4, 150), (8, 290), *[(4, 150)] * 17)

    assert in_vain == [8, 4, *[4] * 16, 8]


def test_a_batch_that_was_taken_back_is_not_tried_larger_at_once() -> None:
    size = BatchSize(chosen=None, wanted=timedelta(milliseconds=100))
    size.adapt(4, took=0.03)
    size.halve()

    size.adapt(4, took=0.15)

    assert size.groups == 4


def test_a_chosen_size_comes_back_after_a_batch_that_was_halved() -> None:
    size = BatchSize(chosen=8, wanted=timedelta(milliseconds=100))
    size.halve()

    halved = size.groups
    size.adapt(4, took=9)

    assert (halved, size.groups) == (4, 8)


def sizes_after(*batches: tuple[int, int]) -> list[int]:
    """The size of the next batch after each of these, given as groups and milliseconds of 100."""
    size = BatchSize(chosen=None, wanted=timedelta(milliseconds=100))
    sizes = []
    for groups, milliseconds in batches:
        size.adapt(groups, took=milliseconds / 1000)
        sizes.append(size.groups)
    return sizes


def test_most_complete_takes_as_many_columns_as_a_table_can_have(ponies: Database) -> None:
    twins(foaled=3)
    wide: Any = SimpleNamespace(nullable_fields=("foaled",) * 1500)

    assert Pony.all_objects.order_by(*MostComplete().order_by(wide))[0].pk == 2


@pytest.mark.slow
def test_a_row_with_dozens_of_references_follows_with_all_of_them(ponies: Database) -> None:
    first, second = twins()
    names = [f"pony_{number}" for number in range(34)]
    columns = ", ".join(f"{name} bigint REFERENCES ponies_pony" for name in names)
    ponies.execute(f"CREATE TABLE ponies_crowd (id integer PRIMARY KEY, {columns})")
    ponies.execute(f"INSERT INTO ponies_crowd VALUES (1{f', {second.pk}' * 34})")

    run = merge(ONE_NAME)

    assert run.clean
    assert [row[name] for row in rows_of("ponies_crowd") for name in names] == [first.pk] * 34
    assert undo_run(run.id, apps=apps, using="default").refused == ()
    assert [row[name] for row in rows_of("ponies_crowd") for name in names] == [second.pk] * 34
