"""Ids that stay ids, made by the database where it can; one cluster of each number, one assignment each."""

from __future__ import annotations

from django.db import migrations, models

from integrity.dedupe import DedupeRule, Earliest, MostReferenced
from integrity.models.fields import TimeOrderedUUID, uuid7
from integrity.operations import AddUniqueConstraintOnline, RepairIdStorage, SetDatabaseDefault


def _id_by_the_database(model_name: str) -> SetDatabaseDefault:
    return SetDatabaseDefault(
        model_name=model_name,
        name="id",
        field=models.UUIDField(
            db_default=TimeOrderedUUID(), default=uuid7, editable=False, primary_key=True, serialize=False
        ),
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("integrity", "0004_unique_invocation_and_diagram")]

    operations = [
        RepairIdStorage(model_names=["clusteringresult", "cluster", "embeddingcluster"]),
        AddUniqueConstraintOnline(
            model_name="cluster",
            constraint=models.UniqueConstraint(
                fields=["clustering_result", "cluster_id"], name="unique_cluster_per_result"
            ),
            rule=DedupeRule(
                name="clusters",
                model="integrity.Cluster",
                fields=("clustering_result", "cluster_id"),
                keep=(MostReferenced(), Earliest()),
            ),
        ),
        AddUniqueConstraintOnline(
            model_name="embeddingcluster",
            constraint=models.UniqueConstraint(
                fields=["embedding", "clustering_result"], name="unique_embedding_clustering"
            ),
            rule=DedupeRule(
                name="assignments",
                model="integrity.EmbeddingCluster",
                fields=("embedding", "clustering_result"),
                keep=(Earliest(),),
            ),
        ),
        _id_by_the_database("cluster"),
        _id_by_the_database("embeddingcluster"),
    ]
