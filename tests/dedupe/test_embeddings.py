"""The rule "one embedding per invocation and model", on a made twin of a real dirty database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from django.apps import apps
from django.db import connection

from integrity.dedupe import (
    Latest,
    PlanSummary,
    RunSummary,
    UnknownPlan,
    WrongState,
    apply_plan,
    count_duplicates,
    make_plan,
    undo_run,
)
from integrity.models import Cluster, Embedding, EmbeddingCluster
from integrity.rules.embeddings import EMBEDDINGS
from tests.commands import CommandResult
from tests.databases import Database
from tests.snapshots import snapshot

pytestmark = pytest.mark.usefixtures("dirty")


def plan() -> PlanSummary:
    return make_plan(EMBEDDINGS, apps=apps, using="default")


def apply(made: PlanSummary) -> RunSummary:
    return apply_plan(made.id, EMBEDDINGS, apps=apps, using="default")


def test_a_plan_tells_what_it_found_and_what_would_happen() -> None:
    made = plan()

    assert (made.groups, made.redundant) == (25, 25)
    assert (made.incomplete, made.identical, made.conflicting) == (5, 5, 15)
    assert made.max_distance is not None
    assert 0 < made.max_distance < 0.1
    by_table = {reference.table: reference for reference in made.references}
    assert by_table["embeddingcluster"].collisions == 25
    assert by_table["cluster"].repointed == Cluster.objects.filter(medoid_embedding__in=redundant_ids()).count() > 0
    assert made.refused == ()


def redundant_ids() -> list[UUID]:
    """By hand: the older row goes where it has no vector, else the younger."""
    pairs: dict[tuple[UUID, str], list[Embedding]] = {}
    for row in Embedding.objects.order_by("started_at"):
        pairs.setdefault((row.invocation_id, row.embedding_model), []).append(row)
    return [(pair[0] if pair[0].vector is None else pair[1]).pk for pair in pairs.values() if len(pair) > 1]


def test_a_plan_writes_nothing_but_the_plan() -> None:
    before = snapshot(own_books=True)

    plan()

    after = snapshot(own_books=True)
    changed = {name for name in after if after[name] != before.get(name)}
    assert all(name.startswith("integrity_plan") for name in changed)


def test_the_same_rows_give_the_same_digest() -> None:
    assert plan().digest == plan().digest


def test_a_complete_row_survives_an_older_placeholder() -> None:
    wrong = redundant_ids()
    invocations_with_vector = set(Embedding.objects.exclude(vector=None).values_list("invocation_id", flat=True))

    run = apply(plan())

    assert run.removed == 25
    assert run.clean
    assert not Embedding.objects.filter(pk__in=wrong).exists()
    assert Embedding.objects.count() == 301
    assert (
        set(Embedding.objects.exclude(vector=None).values_list("invocation_id", flat=True)) == invocations_with_vector
    )


def test_references_follow_the_survivor_and_none_dangles() -> None:
    assignments = EmbeddingCluster.objects.count()

    run = apply(plan())

    known = set(Embedding.objects.values_list("pk", flat=True))
    assert set(EmbeddingCluster.objects.values_list("embedding_id", flat=True)) <= known
    assert set(Cluster.objects.exclude(medoid_embedding=None).values_list("medoid_embedding_id", flat=True)) <= known
    assert EmbeddingCluster.objects.count() == assignments - run.collisions


def test_the_orphan_is_left_alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM embedding WHERE invocation_id NOT IN (SELECT id FROM invocation)")
        orphans = cursor.fetchall()

        apply(plan())

        cursor.execute("SELECT id FROM embedding WHERE invocation_id NOT IN (SELECT id FROM invocation)")
        assert cursor.fetchall() == orphans != []


def test_removed_rows_wait_in_a_typed_quarantine() -> None:
    gone = Embedding.objects.get(
        pk=next(pk for pk in redundant_ids() if Embedding.objects.get(pk=pk).vector is not None)
    )

    run = apply(plan())

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT vector, integrity_run, integrity_reason FROM integrity_quarantine_embedding_1 WHERE id = %s",
            [gone.pk.hex],
        )
        ((vector, run_id, reason),) = cursor.fetchall()
    assert bytes(vector) == gone.vector.tobytes()
    assert (run_id, reason in ("identical", "conflicting")) == (run.id, True)


def test_a_second_run_finds_nothing_to_do() -> None:
    apply(plan())

    assert plan().groups == 0


def test_undo_restores_every_table_byte_for_byte() -> None:
    before = snapshot()
    run = apply(plan())
    assert snapshot() != before

    undone = undo_run(run.id, apps=apps, using="default")

    assert undone.state == "undone"
    assert undone.refused == ()
    assert snapshot() == before


def test_a_dry_run_of_undo_changes_nothing_and_counts_the_same() -> None:
    run = apply(plan())
    before = snapshot(own_books=True)

    dry = undo_run(run.id, apps=apps, using="default", dry_run=True)

    assert snapshot(own_books=True) == before
    assert (dry.restored, dry.repointed) == (run.removed + run.collisions, run.repointed)


def test_undo_refuses_a_group_whose_survivor_was_edited_and_undoes_the_others() -> None:
    run = apply(plan())
    with connection.cursor() as cursor:
        cursor.execute("SELECT MIN(CAST(integrity_survivor_1 AS text)) FROM integrity_quarantine_embedding_1")
        (survivor,) = cursor.fetchone()
        cursor.execute("UPDATE embedding SET completed_at = NULL WHERE id = %s", [survivor])

    undone = undo_run(run.id, apps=apps, using="default")

    assert undone.state == "partially undone"
    ((reason, groups),) = [(refusal.reason, refusal.groups) for refusal in undone.refused]
    assert "survivor was changed" in reason
    assert groups == 1
    assert count_duplicates(EMBEDDINGS, apps=apps, using="default").groups == 24


def test_undo_says_which_constraint_is_in_the_way(dirty: Database) -> None:
    run = apply(plan())
    dirty.execute("CREATE UNIQUE INDEX one_only ON embedding (invocation_id, embedding_model)")

    undone = undo_run(run.id, apps=apps, using="default")

    assert undone.state == "finished"
    assert "one_only" in undone.refused[0].reason
    assert undone.refused[0].groups == 25


def test_one_group_can_be_undone_alone() -> None:
    run = apply(plan())

    undone = undo_run(run.id, apps=apps, using="default", groups=[3])

    assert undone.state == "partially undone"
    assert count_duplicates(EMBEDDINGS, apps=apps, using="default").groups == 1


def test_a_group_that_the_plan_lacks_is_not_undone(call: Callable[..., CommandResult]) -> None:
    run = apply(plan())

    refused = call("undo_dedupe", str(run.id), "--group", "3", "--group", "77")

    assert refused.code == 2
    assert "no group 77; it has 25" in refused.err
    assert count_duplicates(EMBEDDINGS, apps=apps, using="default").groups == 0


def test_a_run_is_not_undone_twice() -> None:
    run = apply(plan())
    undo_run(run.id, apps=apps, using="default")

    with pytest.raises(WrongState):
        undo_run(run.id, apps=apps, using="default")


def test_a_plan_is_not_applied_twice() -> None:
    made = plan()
    apply(made)

    with pytest.raises(UnknownPlan):
        apply(made)


def test_a_limit_treats_that_many_groups() -> None:
    made = make_plan(EMBEDDINGS, apps=apps, using="default", limit=4)

    run = apply(made)

    assert run.removed == 4
    assert run.groups_left == 21


@pytest.mark.parametrize("change", ["update", "delete", "join", "reference"])
def test_a_group_that_changed_after_the_plan_is_refused_and_no_row_of_it_is_touched(
    dirty: Database, change: str
) -> None:
    gone = next(row for row in Embedding.objects.filter(pk__in=redundant_ids()) if row.vector is not None)
    made = plan()
    if change == "update":
        dirty.execute(f"UPDATE embedding SET completed_at = NULL WHERE id = '{gone.pk.hex}'")
    elif change == "delete":
        dirty.execute(f"DELETE FROM embeddingcluster WHERE embedding_id = '{gone.pk.hex}'")
        dirty.execute(f"UPDATE cluster SET medoid_embedding_id = NULL WHERE medoid_embedding_id = '{gone.pk.hex}'")
        dirty.execute(f"DELETE FROM embedding WHERE id = '{gone.pk.hex}'")
    elif change == "join":
        Embedding.objects.create(invocation_id=gone.invocation_id, embedding_model=gone.embedding_model)
    else:
        Cluster.objects.filter(cluster_id=-1).update(medoid_embedding=gone.pk)
    before = [row for row in snapshot()["embedding"] if gone.invocation_id.hex in str(row).replace("-", "")]

    run = apply(made)

    assert run.removed == 24
    assert sum(refusal.groups for refusal in run.refused) == 1
    assert [row for row in snapshot()["embedding"] if gone.invocation_id.hex in str(row).replace("-", "")] == before


def test_another_keep_strategy_still_puts_complete_rows_first() -> None:
    latest = replace(EMBEDDINGS, keep=(Latest("started_at"),))

    made = make_plan(latest, apps=apps, using="default")
    apply_plan(made.id, latest, apps=apps, using="default")

    assert not Embedding.objects.filter(vector=None).exists()
    # Second rows of pairs began between 11:00 and 11:01, all others before or (the orphan) at noon.
    assert Embedding.objects.filter(started_at__hour=11).count() == 25
