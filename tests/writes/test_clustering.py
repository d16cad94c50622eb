"""Clusterings, saved whole or not at all."""

from __future__ import annotations

import sqlite3
import threading
import tracemalloc
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.db import DataError, OperationalError
from psycopg import errors

from integrity.models import Cluster, ClusteringResult, Embedding, EmbeddingCluster, ExperimentRun, Invocation
from integrity.models.fields import uuid7
from integrity.writes import (
    NewCluster,
    RowRejected,
    SavedClustering,
    UnsafeIdStorage,
    save_clustering_result,
)
from tests.databases import Database
from tests.writes.racing import race


def some_embeddings(count: int) -> list[uuid.UUID]:
    run = ExperimentRun.objects.create(network=[], seed=1, max_length=1, initial_prompt="x")
    invocations = Invocation.objects.bulk_create(
        Invocation(model="m", type="TEXT", seed=1, run=run, sequence_number=n) for n in range(count)
    )
    made = Embedding.objects.bulk_create(Embedding(invocation=one, embedding_model="nomic") for one in invocations)
    return [embedding.pk for embedding in made]


CLUSTERS = (NewCluster(number=0), NewCluster(number=-1))


def save(assignments: Any, clusters: Any = CLUSTERS, **extra: Any) -> SavedClustering:
    values = {"embedding_model": "nomic", "algorithm": "hdbscan", "parameters": {"min": 5}, **extra}
    return save_clustering_result(clusters=clusters, assignments=assignments, **values)


def nothing_is_there() -> bool:
    return not any(model.objects.exists() for model in (ClusteringResult, Cluster, EmbeddingCluster))


def test_a_clustering_is_saved_whole(database: Database) -> None:
    ids = some_embeddings(10)

    saved = save([(pk, -1 if n == 0 else 0) for n, pk in enumerate(ids)], parameters={"min": 5, "eps": [0.5, None]})

    assert (saved.clusters, saved.assignments, saved.replaced) == (2, 10, False)
    result = ClusteringResult.objects.get()
    assert (result.pk, result.parameters) == (saved.id, {"min": 5, "eps": [0.5, None]})
    assert dict(result.clusters.values_list("cluster_id", "size")) == {0: 9, -1: 1}
    assert {row.embedding_id: row.cluster.cluster_id for row in EmbeddingCluster.objects.select_related("cluster")} == {
        pk: -1 if n == 0 else 0 for n, pk in enumerate(ids)
    }


def test_ids_are_ordered_by_time_and_never_the_same(database: Database) -> None:
    ids = some_embeddings(10)
    before = uuid7()

    for _ in range(2):
        save([(pk, 0) for pk in ids])

    made = list(EmbeddingCluster.objects.values_list("pk", flat=True))
    assert len(set(made)) == 20
    assert {(pk.version, pk.variant) for pk in made} == {(7, uuid.RFC_4122)}
    assert all(before.hex[:12] <= pk.hex[:12] <= uuid7().hex[:12] for pk in made), "milliseconds since 1970"


def test_ids_may_be_text_and_sizes_medoids_and_properties_may_be_given(database: Database) -> None:
    (pk,) = some_embeddings(1)

    save([(str(pk), 0)], [NewCluster(number=0, size=7, medoid_embedding_id=pk, properties={"label": "x"})])

    cluster = Cluster.objects.get()
    assert (cluster.size, cluster.medoid_embedding_id, cluster.properties) == (7, pk, {"label": "x"})


def test_a_clustering_without_assignments_is_one(database: Database) -> None:
    assert save([], []).assignments == 0
    assert ClusteringResult.objects.count() == 1


@pytest.mark.parametrize(
    ("position", "embedding", "number", "says"),
    [
        (2, "twice", 0, "Assignment 2: embedding .* is assigned twice"),
        (1, uuid.UUID(int=9), 0, f"Assignment 1: there is no embedding {uuid.UUID(int=9)}"),
        (1, None, 0, "Assignment 1: there is no embedding None"),
        (1, "nonsense", 0, "Assignment 1 .*nonsense.*no id and number"),
        (1, "fresh", "0", "Assignment 1 .*no id and number"),
        (2, "fresh", 5, "Assignment 2: there is no cluster 5"),
        (2, "fresh", 2**32, "Assignment 2: there is no cluster 4294967296"),
        (2, "fresh", 2**70, "Assignment 2: there is no cluster 1180591620717411303424"),
    ],
)
def test_a_failing_assignment_is_named_and_nothing_is_left(
    database: Database, position: int, embedding: Any, number: Any, says: str
) -> None:
    first, second, fresh = some_embeddings(3)
    bad = {"twice": first, "fresh": fresh}.get(embedding, embedding)
    assignments: list[Any] = [(first, 0), (second, 0)]
    assignments.insert(position, (bad, number))

    with pytest.raises(RowRejected, match=says):
        save(assignments)

    assert nothing_is_there()


@pytest.mark.parametrize("assigned", [0, 1])
def test_a_number_that_the_database_cannot_hold_is_an_error(database: Database, assigned: int) -> None:
    ids = some_embeddings(assigned)

    with pytest.raises(DataError):
        save([(pk, 2**70) for pk in ids], [NewCluster(number=2**70)])

    assert nothing_is_there()


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("document", [{"eps": np.float32(1)}, {"eps": float("nan")}, {("a", "b"): 1}, "min=5", None])
def test_what_json_has_no_word_for_is_told(database: Database, document: Any, replace: bool) -> None:
    with pytest.raises(RowRejected, match="The parameters: this is no JSON document"):
        save([], parameters=document, replace=replace)
    with pytest.raises(RowRejected, match="The properties of cluster 7: this is no JSON document"):
        save([], [NewCluster(number=7, properties=document)], replace=replace)

    assert nothing_is_there()


def test_parameters_are_the_same_whatever_their_keys_were_before_they_were_stored(database: Database) -> None:
    first, again = (save([], parameters={1: "a", "b": 2}, replace=True) for _ in range(2))

    assert (again.id, again.replaced) == (first.id, True)


def test_a_cluster_that_comes_twice_and_a_missing_medoid_are_errors(database: Database) -> None:
    with pytest.raises(RowRejected, match="Cluster 7 is given twice"):
        save([], [NewCluster(number=0), NewCluster(number=7), NewCluster(number=7)])

    with pytest.raises(RowRejected, match="Cluster 0: there is no embedding"):
        save([], [NewCluster(number=0, medoid_embedding_id=uuid.uuid4())])

    assert nothing_is_there()


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        ({"number": None}, "Cluster None"),
        ({"number": 3, "size": "many"}, "Cluster 3 .size many"),
        ({"number": 3, "size": -5}, "Cluster 3: a size of -5"),
        ({"number": 3, "medoid_embedding_id": "nonsense"}, "Cluster 3 .*medoid nonsense"),
    ],
)
def test_what_is_no_cluster_is_named(sqlite_database: Database, cluster: dict[str, Any], says: str) -> None:
    with pytest.raises(RowRejected, match=says):
        save([], [NewCluster(number=0), NewCluster(**cluster)])

    assert nothing_is_there()


@pytest.mark.parametrize("pair", [5, (1, 2, 3), None, ""])
def test_what_is_no_pair_is_named(sqlite_database: Database, pair: Any) -> None:
    with pytest.raises(RowRejected, match=r"Assignment 0 .*no pair"):
        save([pair])

    assert nothing_is_there()


def test_a_medoid_may_be_text_as_an_assignment_may(database: Database) -> None:
    (pk,) = some_embeddings(1)
    medoid: Any = pk.hex

    save([(str(pk), 0)], [NewCluster(number=0, medoid_embedding_id=medoid)])

    assert Cluster.objects.get().medoid_embedding_id == pk


def test_a_failure_at_the_end_of_the_stream_leaves_nothing_and_is_raised_as_it_is(database: Database) -> None:
    ids = some_embeddings(100)

    def breaking() -> Iterator[tuple[uuid.UUID, int]]:
        yield from ((pk, 0) for pk in ids)
        raise ConnectionError("the cluster's node is gone")

    with pytest.raises(ConnectionError, match="node is gone"):
        save(breaking())

    assert nothing_is_there()


def test_the_same_clustering_again_is_a_new_result(database: Database) -> None:
    ids = some_embeddings(3)

    first, second = save([(pk, 0) for pk in ids]), save([(pk, 0) for pk in ids])

    assert first.id != second.id
    assert EmbeddingCluster.objects.count() == 6


def test_or_replaces_the_newest_of_its_kind_under_its_id(database: Database) -> None:
    ids = some_embeddings(3)
    oldest, newest = save([(pk, 0) for pk in ids]), save([(pk, 0) for pk in ids])
    other = save([(pk, 0) for pk in ids], parameters={"min": 6})

    for _ in range(2):
        replaced = save([(ids[0], -1)], [NewCluster(number=-1)], replace=True)

        assert (replaced.id, replaced.replaced) == (newest.id, True)
        assert list(EmbeddingCluster.objects.filter(clustering_result=newest.id).values_list("embedding_id")) == [
            (ids[0],)
        ]
        assert Cluster.objects.filter(clustering_result=newest.id).count() == 1
    assert EmbeddingCluster.objects.filter(clustering_result__in=[oldest.id, other.id]).count() == 6


def test_a_failed_replacement_leaves_the_earlier_one_as_it_was(database: Database) -> None:
    ids = some_embeddings(3)
    save([(pk, 0) for pk in ids])

    with pytest.raises(RowRejected):
        save([(ids[0], 0), (ids[0], 0)], replace=True)

    assert EmbeddingCluster.objects.count() == 3


def test_of_many_who_replace_at_once_one_result_remains(database: Database) -> None:
    ids = some_embeddings(20)
    start = threading.Barrier(4)

    def worker(number: int) -> bool:
        start.wait()
        return save([(pk, 0) for pk in ids], replace=True).replaced

    replaced = race(worker, range(4))

    assert sorted(replaced) == [False, True, True, True]
    assert ClusteringResult.objects.count() == 1
    assert EmbeddingCluster.objects.count() == 20


def test_a_retry_uses_new_objects(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = some_embeddings(3)
    tried: list[uuid.UUID] = []
    whole = ClusteringResult.save

    def failing_once(self: ClusteringResult, *args: Any, **kwargs: Any) -> None:
        whole(self, *args, **kwargs)
        tried.append(self.pk)
        if len(tried) == 1:
            raise _transient(database)

    monkeypatch.setattr(ClusteringResult, "save", failing_once)

    saved = save([(pk, 0) for pk in ids])

    assert len(set(tried)) == 2
    assert saved.id == tried[1] == ClusteringResult.objects.get().pk
    tried.clear()
    with pytest.raises(OperationalError):
        save((pk, 0) for pk in ids)


def _transient(database: Database) -> OperationalError:
    error = OperationalError("lost")
    if database.vendor == "postgresql":
        error.__cause__ = errors.SerializationFailure("lost")
    else:
        error.__cause__ = sqlite3.OperationalError("lost")
        error.__cause__.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


@pytest.mark.parametrize("table", ["cluster", "embeddingcluster"])
def test_columns_that_would_corrupt_ids_are_refused(sqlite_database: Database, table: str) -> None:
    ids = some_embeddings(1)
    ((create,),) = sqlite_database.execute("SELECT sql FROM sqlite_master WHERE name = ?", [table])
    sqlite_database.execute(f"DROP TABLE {table}")
    sqlite_database.execute(create.replace('"id" char(32)', '"id" UUID'))

    with pytest.raises(UnsafeIdStorage, match=rf"{table}\.id \(UUID\).*NUMERIC.*RepairIdStorage"):
        save([(ids[0], 0)])

    assert not ClusteringResult.objects.exists()


@pytest.mark.slow
def test_memory_stays_flat_however_many_assignments_there_are(database: Database) -> None:
    (known,) = some_embeddings(1)
    invocation = Embedding.objects.get(pk=known).invocation
    ids = [uuid.UUID(int=n) for n in range(1, 30_001)]
    Embedding.objects.bulk_create(
        (Embedding(id=pk, invocation=invocation, embedding_model=f"model {pk}") for pk in ids), batch_size=2000
    )

    tracemalloc.start()
    save((uuid.UUID(int=n), 0) for n in range(1, 30_001))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert EmbeddingCluster.objects.count() == 30_000
    assert peak < 3_000_000  # the pairs alone, in a list, would take more
