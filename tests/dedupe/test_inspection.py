"""One duplicate group side by side: which row would stay and why, what differs, what references each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from integrity.dedupe import (
    DedupeRule,
    Group,
    Latest,
    MostReferenced,
    UnknownGroup,
    UnknownPlan,
    UnknownRow,
    apply_plan,
    inspect_group,
    inspect_planned_group,
    make_plan,
    with_duplicates,
)
from integrity.dedupe.inspection import MOST_MEMBERS
from integrity.models import Embedding, EmbeddingCluster, WorkflowExecution
from integrity.rules.embeddings import EMBEDDINGS
from tests.databases import Database
from tests.snapshots import snapshot

WORKFLOWS = DedupeRule(name="workflows", model="integrity.WorkflowExecution", fields=("workflow_id",))

pytestmark = pytest.mark.usefixtures("dirty")


def pairs() -> list[list[Embedding]]:
    """The rows of each group, the older first."""
    found: dict[tuple[UUID, str], list[Embedding]] = {}
    for row in Embedding.objects.order_by("started_at"):
        found.setdefault((row.invocation_id, row.embedding_model), []).append(row)
    return [rows for rows in found.values() if len(rows) > 1]


def crashed_pair() -> list[Embedding]:
    return next(pair for pair in pairs() if pair[0].vector is None)


def conflicting_pair() -> list[Embedding]:
    return next(pair for pair in pairs() if pair[0].vector is not None and (pair[0].vector != pair[1].vector).any())


def identical_pair() -> list[Embedding]:
    return next(pair for pair in pairs() if pair[0].vector is not None and (pair[0].vector == pair[1].vector).all())


def inspect(row: models.Model, rule: DedupeRule = EMBEDDINGS) -> Group:
    return inspect_group(rule, pk=row.pk, apps=apps, using="default")


def value(group: Group, member: int, column: str) -> str | None:
    return group.members[member].values[group.columns.index(column)]


def is_row(group: Group, member: int, row: models.Model) -> bool:
    return bool(UUID(group.members[member].pk) == row.pk)


def add_workflow(**fields: Any) -> WorkflowExecution:
    values = {"workflow_id": "w", "workflow_type": "t", "entity_type": "e", "entity_id": uuid4()}
    return WorkflowExecution.objects.create(**(values | fields))


def test_a_finished_row_stays_and_the_reason_says_what_the_other_lacks() -> None:
    crashed, finished = crashed_pair()

    group = inspect(crashed)

    assert is_row(group, 0, finished)
    assert [member.kind for member in group.members] == ["survivor", "incomplete"]
    assert group.reason == "complete: vector is 3072 bytes; the next best row is not: vector is empty"
    assert value(group, 1, "vector") is None


def test_among_finished_rows_the_oldest_stays_and_the_reason_gives_both_times() -> None:
    older, younger = conflicting_pair()

    group = inspect(younger)

    assert is_row(group, 0, older)
    assert group.reason == f"oldest by started_at: {older.started_at}; the next best row has {younger.started_at}"


def test_any_row_of_a_group_leads_to_the_same_group() -> None:
    older, younger = conflicting_pair()

    assert inspect(older) == inspect(younger)


def test_the_reason_is_the_primary_key_where_all_else_is_equal() -> None:
    older, younger = identical_pair()
    Embedding.objects.filter(pk=younger.pk).update(started_at=older.started_at)

    group = inspect(older)

    assert group.reason == "all else is equal: smallest primary key"
    assert is_row(group, 0, min(older, younger, key=lambda row: row.pk.hex))


def test_a_missing_time_loses_against_any_time() -> None:
    older, younger = conflicting_pair()
    Embedding.objects.filter(pk=older.pk).update(started_at=None)

    group = inspect(older)

    assert is_row(group, 0, younger)
    assert group.reason == f"oldest by started_at: {younger.started_at}; the next best row has empty"


def test_the_reason_follows_the_rule_that_is_asked_for() -> None:
    older, younger = conflicting_pair()
    EmbeddingCluster.objects.filter(embedding=older).delete()

    assert is_row(inspect(older, replace(EMBEDDINGS, keep=(Latest("started_at"),))), 0, younger)
    most_referenced = inspect(older, replace(EMBEDDINGS, keep=(MostReferenced(),)))

    assert is_row(most_referenced, 0, younger)
    assert most_referenced.reason == "most referenced: 1; the next best row has 0"


def test_the_survivor_shown_is_the_survivor_planned() -> None:
    shown = {inspect(pair[0]).members[0].pk for pair in pairs()}
    plan = make_plan(EMBEDDINGS, apps=apps, using="default")

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT p1 FROM integrity_plan_{plan.id} WHERE pos = 1")
        assert shown == {str(pk) for (pk,) in cursor.fetchall()}


def test_columns_that_differ_are_named_and_the_primary_key_is_not_among_them() -> None:
    assert inspect(identical_pair()[0]).differing == {"started_at", "completed_at"}
    assert inspect(conflicting_pair()[0]).differing == {"started_at", "completed_at", "vector"}


def test_columns_that_the_model_does_not_know_are_compared_too(dirty: Database) -> None:
    older, _ = identical_pair()
    dirty.execute("ALTER TABLE embedding ADD COLUMN note text")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE embedding SET note = 'mine' WHERE id = %s", [older.pk.hex])

    group = inspect(older)

    assert "note" in group.differing
    assert (value(group, 0, "note"), value(group, 1, "note")) == ("mine", None)


def test_vectors_are_shortened_and_their_distance_to_the_survivor_is_told() -> None:
    group = inspect(conflicting_pair()[0])

    shown = value(group, 0, "vector")
    assert shown is not None
    assert shown.startswith("768 numbers, norm 1")
    assert len(shown) < 80
    assert [member.distance is not None for member in group.members] == [False, True]
    assert 0 < (group.members[1].distance or 0) < 0.1


def test_a_vector_of_another_length_has_no_distance_and_loses() -> None:
    older, younger = conflicting_pair()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE embedding SET vector = %s WHERE id = %s", [b"\x01\x02\x03", older.pk.hex])

    group = inspect(older)

    assert is_row(group, 0, younger)
    assert group.reason == "complete: vector is 3072 bytes; the next best row is not: vector is 3 bytes"
    assert group.members[1].distance is None
    assert value(group, 1, "vector") == "no vector: 3 bytes"


def test_references_are_counted_by_table_for_each_row() -> None:
    older, younger = conflicting_pair()
    EmbeddingCluster.objects.filter(embedding=younger).delete()

    counts = {reference.table: reference.counts for reference in inspect(older).references}

    assert counts["embeddingcluster"] == (1, 0)


def test_references_without_an_index_are_named_and_not_counted(dirty: Database) -> None:
    dirty.execute("DROP INDEX ix_cluster_medoid_embedding_id")

    counts = {reference.columns: reference.counts for reference in inspect(pairs()[0][0]).references}

    assert counts[("medoid_embedding_id",)] is None
    assert counts[("embedding_id",)] is not None


def test_a_row_without_duplicates_is_a_group_of_one() -> None:
    single = Embedding.objects.exclude(with_duplicates(EMBEDDINGS, apps=apps, using="default")).first()
    assert single is not None

    group = inspect(single)

    assert (group.size, len(group.members), group.reason) == (1, 1, "")


@pytest.mark.parametrize("pk", [uuid4(), "no id at all", "", "1" * 10_000, "\0", None])
def test_an_unknown_row_is_an_error_of_ours(pk: Any) -> None:
    with pytest.raises(UnknownRow):
        inspect_group(EMBEDDINGS, pk=pk, apps=apps, using="default")


def test_a_row_outside_the_constraints_condition_has_no_group() -> None:
    only_failed = models.UniqueConstraint(
        fields=["workflow_id"], condition=models.Q(status="failed"), name="one_failure"
    )
    rule = DedupeRule(model="integrity.WorkflowExecution", constraint=only_failed)
    failed, running = add_workflow(status="failed"), add_workflow(status="running")

    assert inspect(running, rule).members == ()
    assert inspect(failed, rule).size == 1


@pytest.mark.parametrize(("nulls_distinct", "size"), [(None, 0), (False, 2)])
def test_null_keys_are_equal_only_where_the_constraint_has_them_so(nulls_distinct: bool | None, size: int) -> None:
    one_each = models.UniqueConstraint(
        fields=["error_message", "workflow_type"], nulls_distinct=nulls_distinct, name="one_each"
    )
    rule = DedupeRule(model="integrity.WorkflowExecution", constraint=one_each)
    row, _ = add_workflow(), add_workflow()

    assert inspect(row, rule).size == size
    assert WorkflowExecution.objects.filter(with_duplicates(rule, apps=apps, using="default")).count() == size


def test_a_large_group_is_shown_in_part_with_its_true_size() -> None:
    rows = [add_workflow() for _ in range(MOST_MEMBERS + 5)]

    group = inspect(rows[-1], WORKFLOWS)

    assert (group.size, len(group.members)) == (MOST_MEMBERS + 5, MOST_MEMBERS)


def test_the_number_of_statements_does_not_grow_with_the_group() -> None:
    def statements(size: int) -> int:
        row, *_ = [add_workflow(workflow_id=str(size)) for _ in range(size)]
        inspect(row, WORKFLOWS)  # what is asked once for each connection
        with CaptureQueriesContext(connection) as captured:
            inspect(row, WORKFLOWS)
        return len([query for query in captured if "FETCH" not in query["sql"]])

    assert statements(2) == statements(20)


def test_rows_with_duplicates_are_exactly_those_of_the_groups() -> None:
    expected = {row.pk for pair in pairs() for row in pair}

    condition = with_duplicates(EMBEDDINGS, apps=apps, using="default")

    assert set(Embedding.objects.filter(condition).values_list("pk", flat=True)) == expected
    assert not Embedding.objects.exclude(condition).filter(pk__in=expected).exists()


def test_the_condition_is_read_when_the_queryset_is_and_not_before() -> None:
    rows = Embedding.objects.filter(with_duplicates(EMBEDDINGS, apps=apps, using="default"))
    crashed, _ = crashed_pair()
    EmbeddingCluster.objects.filter(embedding=crashed).delete()
    Embedding.objects.filter(pk=crashed.pk).delete()

    with CaptureQueriesContext(connection) as captured:
        found = list(rows)

    assert len(found) == 48
    assert len(captured) == 1


def test_a_planned_group_shows_the_decision_and_the_same_reason() -> None:
    plan = make_plan(EMBEDDINGS, apps=apps, using="default")

    group = inspect_planned_group(EMBEDDINGS, plan=plan.id, number=1, apps=apps, using="default")

    live = inspect_group(EMBEDDINGS, pk=UUID(group.members[1].pk), apps=apps, using="default")
    assert group == live
    assert group.reason


def test_a_planned_group_tells_which_rows_have_changed_since() -> None:
    plan = make_plan(EMBEDDINGS, apps=apps, using="default")
    before = inspect_planned_group(EMBEDDINGS, plan=plan.id, number=1, apps=apps, using="default")
    Embedding.objects.filter(pk=before.members[1].pk).update(completed_at="2031-01-01")

    after = inspect_planned_group(EMBEDDINGS, plan=plan.id, number=1, apps=apps, using="default")

    assert [member.changed for member in before.members] == [False, False]
    assert [member.changed for member in after.members] == [False, True]


def test_a_planned_group_tells_which_rows_are_gone() -> None:
    plan = make_plan(EMBEDDINGS, apps=apps, using="default")
    before = inspect_planned_group(EMBEDDINGS, plan=plan.id, number=1, apps=apps, using="default")
    apply_plan(plan.id, EMBEDDINGS, apps=apps, using="default")

    after = inspect_planned_group(EMBEDDINGS, plan=plan.id, number=1, apps=apps, using="default")

    assert [member.pk for member in after.members] == [before.members[0].pk]
    assert after.gone == (before.members[1].pk,)
    assert after.reason == f"as planned: {before.keep}"


def test_a_plan_keeps_its_own_ordering_whatever_the_rule_says_today() -> None:
    other = replace(EMBEDDINGS, keep=(Latest("started_at"),))
    plan = make_plan(other, apps=apps, using="default")

    group = inspect_planned_group(EMBEDDINGS, plan=plan.id, number=1, apps=apps, using="default")

    assert group.keep == plan.keep
    assert group.reason == f"as planned: {plan.keep}"


@pytest.mark.parametrize("number", [0, -1, 26, 10**12])
def test_an_unknown_group_of_a_plan_is_an_error_of_ours(number: int) -> None:
    plan = make_plan(EMBEDDINGS, apps=apps, using="default")

    with pytest.raises(UnknownGroup, match="it has 25"):
        inspect_planned_group(EMBEDDINGS, plan=plan.id, number=number, apps=apps, using="default")


def test_an_unknown_plan_is_an_error_of_ours() -> None:
    with pytest.raises(UnknownPlan):
        inspect_planned_group(EMBEDDINGS, plan=99, number=1, apps=apps, using="default")


def test_inspecting_changes_nothing() -> None:
    plan = make_plan(EMBEDDINGS, apps=apps, using="default")
    before = snapshot(own_books=True)

    inspect(pairs()[0][0])
    inspect_planned_group(EMBEDDINGS, plan=plan.id, number=1, apps=apps, using="default")

    assert snapshot(own_books=True) == before
