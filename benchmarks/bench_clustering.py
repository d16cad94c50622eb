"""save_clustering_result against bulk_create in batches of 10,000, as the original flushed.

Claim: 200,000 assignments take at most a third of the time; 1.4 million are saved with flat memory.

    python -m benchmarks.bench_clustering [assignments]
"""

from __future__ import annotations

import resource
import statistics
import sys
import uuid
from collections.abc import Iterator

from benchmarks.scratch import postgresql, seconds
from tests.databases import Database

CLUSTERS = 200
BATCH = 10_000
ROUNDS = 7
FULL = 200_000
MANY = 1_400_000


def make_embeddings(database: Database, count: int) -> None:
    """Give the database one run, ``count`` invocations and their embeddings, without vectors."""
    database.execute(
        "INSERT INTO run (id, network, seed, max_length, initial_prompt) "
        "VALUES ('00000000-0000-0000-0000-000000000001', '[]', 1, 1, 'x')"
    )
    database.execute(
        "INSERT INTO invocation (id, model, type, seed, run_id, sequence_number) "
        "SELECT gen_random_uuid(), 'm', 'TEXT', 1, '00000000-0000-0000-0000-000000000001', n "
        f"FROM generate_series(1, {count}) AS n"
    )
    database.execute(
        "INSERT INTO embedding (id, invocation_id, embedding_model) "
        "SELECT gen_random_uuid(), id, 'nomic' FROM invocation"
    )
    database.execute("ANALYZE")


def assigned(ids: list[uuid.UUID]) -> Iterator[tuple[uuid.UUID, int]]:
    return ((pk, n % CLUSTERS) for n, pk in enumerate(ids))


def by_save(ids: list[uuid.UUID]) -> None:
    from integrity.writes import NewCluster, save_clustering_result

    save_clustering_result(
        embedding_model="nomic",
        algorithm="hdbscan",
        parameters={},
        clusters=[NewCluster(number=n) for n in range(CLUSTERS)],
        assignments=assigned(ids),
    )


def by_bulk_create(ids: list[uuid.UUID]) -> None:
    from django.db import transaction

    from integrity.models import Cluster, ClusteringResult, EmbeddingCluster

    with transaction.atomic():
        result = ClusteringResult.objects.create(embedding_model="nomic", algorithm="hdbscan", parameters={})
        clusters = Cluster.objects.bulk_create(
            Cluster(clustering_result=result, cluster_id=n, size=0, properties={}) for n in range(CLUSTERS)
        )
        EmbeddingCluster.objects.bulk_create(
            (
                EmbeddingCluster(embedding_id=pk, clustering_result=result, cluster=clusters[number])
                for pk, number in assigned(ids)
            ),
            batch_size=BATCH,
        )


def main() -> None:
    from integrity.models import Embedding

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with postgresql() as database:
        make_embeddings(database, count)
        ids = list(Embedding.objects.values_list("pk", flat=True))
        taken: dict[str, list[float]] = {"by_save": [], "by_bulk_create": []}
        for _ in range(ROUNDS):
            for way in (by_save, by_bulk_create):
                database.execute("TRUNCATE embeddingcluster, cluster, clusteringresult CASCADE")
                taken[way.__name__].append(seconds(lambda way=way: way(ids)))  # type: ignore[misc]
        print(f"{count} assignments to {CLUSTERS} clusters; median of {ROUNDS} rounds")
        least = statistics.median(taken["by_save"])
        for name, times in taken.items():
            print(f"{name:15} {statistics.median(times):8.2f} s   {statistics.median(times) / least:6.2f} x by_save")
    if count < FULL:
        return
    with postgresql() as database:
        make_embeddings(database, MANY)
        ids = list(Embedding.objects.values_list("pk", flat=True))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        time = seconds(lambda: by_save(ids))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"{MANY} assignments: {time:.1f} s, memory grown by {grown:.0f} MB")


if __name__ == "__main__":
    main()
