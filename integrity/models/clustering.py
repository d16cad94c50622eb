"""System 2, cluster assignments: which cluster of which clustering each embedding fell into."""

from __future__ import annotations

from django.db import models

from integrity.models.embeddings import Embedding
from integrity.models.fields import LongNameIndex, NaiveDateTimeField, TimeOrderedUUID, naive_utc_now, uuid7


class ClusteringResult(models.Model):
    """One clustering of all embeddings of one embedding model."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = NaiveDateTimeField(default=naive_utc_now)
    started_at = NaiveDateTimeField(null=True, blank=True)
    completed_at = NaiveDateTimeField(null=True, blank=True)
    embedding_model = models.CharField()
    algorithm = models.CharField()
    parameters = models.JSONField()

    class Meta:
        db_table = "clusteringresult"
        verbose_name = "clustering result"

    def __str__(self) -> str:
        return f"{self.algorithm} over {self.embedding_model} ({self.pk})"


class Cluster(models.Model):
    """One cluster of a clustering; number -1 holds the outliers."""

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=TimeOrderedUUID(), editable=False)
    clustering_result = models.ForeignKey(ClusteringResult, models.DO_NOTHING, db_index=False, related_name="clusters")
    cluster_id = models.IntegerField(help_text="Number within the clustering; -1 holds the outliers.")
    medoid_embedding = models.ForeignKey(
        Embedding, models.DO_NOTHING, null=True, blank=True, db_index=False, related_name="medoid_of"
    )
    size = models.IntegerField()
    properties = models.JSONField()

    class Meta:
        db_table = "cluster"
        indexes = [
            LongNameIndex(fields=["clustering_result"], name="ix_cluster_clustering_result_id"),
            LongNameIndex(fields=["medoid_embedding"], name="ix_cluster_medoid_embedding_id"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["clustering_result", "cluster_id"], name="unique_cluster_per_result"),
        ]

    def __str__(self) -> str:
        return f"cluster {self.cluster_id} of {self.clustering_result_id} ({self.pk})"


class EmbeddingCluster(models.Model):
    """One embedding's place in one clustering."""

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=TimeOrderedUUID(), editable=False)
    embedding = models.ForeignKey(Embedding, models.DO_NOTHING, db_index=False, related_name="assignments")
    clustering_result = models.ForeignKey(
        ClusteringResult, models.DO_NOTHING, db_index=False, related_name="assignments"
    )
    cluster = models.ForeignKey(Cluster, models.DO_NOTHING, db_index=False, related_name="assignments")

    class Meta:
        db_table = "embeddingcluster"
        verbose_name = "cluster assignment"
        indexes = [
            LongNameIndex(fields=["embedding"], name="ix_embeddingcluster_embedding_id"),
            LongNameIndex(fields=["clustering_result"], name="ix_embeddingcluster_clustering_result_id"),
            LongNameIndex(fields=["cluster"], name="ix_embeddingcluster_cluster_id"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["embedding", "clustering_result"], name="unique_embedding_clustering"),
        ]

    def __str__(self) -> str:
        return f"{self.embedding_id} in {self.cluster_id}"
