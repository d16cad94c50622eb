"""Which row survives, for every keep strategy."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from django.apps import apps
from django.db import connection
from django.db.models import F
from django.db.models.functions import Length

from integrity.dedupe import (
    DedupeRule,
    Earliest,
    Latest,
    Medoid,
    MostComplete,
    MostReferenced,
    OrderByFields,
    StatusOrder,
    UnknownKeep,
    apply_plan,
    make_plan,
)
from integrity.dedupe.keep import Keep
from integrity.models import Cluster, ClusteringResult, Embedding, ExperimentRun, Invocation
from integrity.rules.embeddings import EMBEDDINGS
from tests.databases import Database

pytestmark = pytest.mark.usefixtures("group")
BEGAN = datetime(2026, 3, 1, 9, 0)


def vector(*head: float) -> np.ndarray:
    made = np.zeros(768, dtype=np.float32)
    made[: len(head)] = head
    return made


@pytest.fixture
def group(database_at) -> Database:  # type: ignore[no-untyped-def]
    """Four complete rows of one group, oldest first: 1, 2, 3, 4; number 3 is the medoid, number 2 is referenced."""
    database: Database = database_at("0001")
    run = ExperimentRun.objects.create(network=[], seed=1, max_length=1, initial_prompt="a")
    invocation = Invocation.objects.create(model="m", type="TEXT", seed=1, run=run, sequence_number=0)
    for number, made in enumerate([vector(1, 0), vector(0.2, 1), vector(0.7, 0.7), vector(0.8, 0.9)], 1):
        Embedding.objects.create(
            id=UUID(int=number),
            invocation=invocation,
            embedding_model="one",
            started_at=BEGAN + timedelta(minutes=number),
            completed_at=BEGAN if number == 4 else None,
            vector=made,
        )
    result = ClusteringResult.objects.create(embedding_model="one", algorithm="x", parameters={})
    Cluster.objects.create(
        clustering_result=result, cluster_id=0, size=1, properties={}, medoid_embedding_id=UUID(int=2)
    )
    return database


@pytest.mark.parametrize(
    ("keep", "survivor"),
    [
        (Earliest("started_at"), 1),
        (Latest("started_at"), 4),
        (MostComplete(), 4),
        (MostReferenced(), 2),
        (OrderByFields(("-started_at",)), 4),
        (OrderByFields(("completed_at", "-started_at")), 4),
        (OrderByFields((F("started_at").desc(),)), 4),
        (OrderByFields((Length("embedding_model"), "-started_at")), 4),
        (StatusOrder("embedding_model", ("one",)), 1),
        (Medoid("vector"), 3),
    ],
)
def test_the_survivor_is_first_by_the_strategy(keep: Keep, survivor: int) -> None:
    rule = replace(EMBEDDINGS, keep=(keep,))

    plan = make_plan(rule, apps=apps, using="default")
    run = apply_plan(plan.id, rule, apps=apps, using="default")

    assert run.removed == 3
    assert Embedding.objects.get().pk == UUID(int=survivor)
    assert Cluster.objects.get().medoid_embedding_id == UUID(int=survivor)


def test_strategies_are_composed_most_important_first() -> None:
    rule = replace(EMBEDDINGS, keep=(StatusOrder("embedding_model", ("one",)), Latest("started_at")))

    plan = make_plan(rule, apps=apps, using="default")
    apply_plan(plan.id, rule, apps=apps, using="default")

    assert Embedding.objects.get().pk == UUID(int=4)


def test_an_incomplete_row_never_survives_a_complete_one_as_medoid() -> None:
    Embedding.objects.filter(pk=UUID(int=3)).update(vector=None)
    rule = replace(EMBEDDINGS, keep=(Medoid("vector"),))

    plan = make_plan(rule, apps=apps, using="default")
    apply_plan(plan.id, rule, apps=apps, using="default")

    assert Embedding.objects.get().vector is not None


def test_a_vector_that_is_not_finite_is_far_from_all_and_leaves_the_others_as_near_as_they_are() -> None:
    with connection.cursor() as cursor:  # the field itself refuses it
        stored = vector(np.inf, 1).tobytes()
        cursor.execute("UPDATE embedding SET vector = %s WHERE id = %s", [stored, UUID(int=1).hex])
    rule = replace(EMBEDDINGS, keep=(Medoid("vector"),))

    plan = make_plan(rule, apps=apps, using="default")
    apply_plan(plan.id, rule, apps=apps, using="default")

    assert Embedding.objects.get().pk == UUID(int=4)  # between the other two


def test_vectors_of_very_large_numbers_have_a_distance() -> None:
    for number, made in enumerate([vector(3e38, 0), vector(3e38, 3e38), vector(3e38), vector(3e38)], 1):
        Embedding.objects.filter(pk=UUID(int=number)).update(vector=made)

    plan = make_plan(EMBEDDINGS, apps=apps, using="default")

    assert plan.max_distance == pytest.approx(1 - 0.5**0.5)


def test_an_unknown_field_to_order_by_is_told_with_the_known_ones() -> None:
    rule = DedupeRule(
        model="integrity.Embedding",
        fields=("invocation", "embedding_model"),
        keep=(OrderByFields(("-beauty",)),),
    )

    with pytest.raises(UnknownKeep, match=r"'beauty'.*started_at"):
        make_plan(rule, apps=apps, using="default")


def test_a_status_may_be_a_number() -> None:
    assert StatusOrder("state", (2, 1)).why == "state: 2 > 1"
