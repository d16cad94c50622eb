"""Our books, then the mirrored tables: each is adopted where it is there, else created."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models
from django.db.models.functions import Now
from django.utils import timezone

from integrity.models import fields
from integrity.operations import AdoptTable, CloseBooks


def _number() -> models.BigAutoField[Any, Any]:
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


def _id(**kwargs: Any) -> models.UUIDField[Any, Any]:
    return models.UUIDField(default=fields.uuid7, editable=False, primary_key=True, serialize=False, **kwargs)


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="DedupePlan",
            fields=[
                ("id", _number()),
                ("rule", models.CharField(max_length=200)),
                ("model", models.CharField(max_length=200)),
                ("table", models.CharField(max_length=200)),
                ("state", models.CharField(max_length=20)),
                ("digest", models.CharField(max_length=64)),
                ("document", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(db_default=Now())),
                ("expires_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "plan",
                "db_table": "integrity_plan",
            },
        ),
        migrations.CreateModel(
            name="DedupeRun",
            fields=[
                ("id", _number()),
                ("plan", models.ForeignKey(on_delete=models.PROTECT, related_name="runs", to="integrity.dedupeplan")),
                ("rule", models.CharField(max_length=200)),
                ("table", models.CharField(max_length=200)),
                ("state", models.CharField(max_length=20)),
                ("cursor", models.BigIntegerField(default=0)),
                ("counts", models.JSONField(default=dict)),
                ("details", models.JSONField(default=dict)),
                ("started_at", models.DateTimeField(db_default=Now())),
                ("updated_at", models.DateTimeField(db_default=Now())),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "run",
                "db_table": "integrity_run",
            },
        ),
        migrations.CreateModel(
            name="MirroredTable",
            fields=[
                ("table", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("system", models.CharField(max_length=20)),
                ("origin", models.CharField(max_length=20)),
                ("details", models.JSONField(default=dict)),
                ("recorded_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "verbose_name": "mirrored table",
                "db_table": "integrity_table",
            },
        ),
        migrations.CreateModel(
            name="SideTable",
            fields=[
                ("id", _number()),
                ("kind", models.CharField(max_length=20)),
                ("table", models.CharField(max_length=200)),
                ("name", models.CharField(max_length=63, unique=True)),
                ("generation", models.IntegerField(default=1)),
                ("columns", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "verbose_name": "side table",
                "db_table": "integrity_side_table",
            },
        ),
        AdoptTable(
            name="ExperimentConfig",
            fields=[
                ("id", _id()),
                ("networks", models.JSONField()),
                ("seeds", models.JSONField()),
                ("prompts", models.JSONField()),
                ("embedding_models", models.JSONField()),
                ("max_length", models.IntegerField()),
                ("started_at", fields.NaiveDateTimeField(blank=True, null=True)),
                ("completed_at", fields.NaiveDateTimeField(blank=True, null=True)),
            ],
            system="embeddings",
            options={
                "verbose_name": "experiment",
                "db_table": "experimentconfig",
            },
        ),
        AdoptTable(
            name="ExperimentRun",
            fields=[
                ("id", _id()),
                ("network", models.JSONField()),
                ("seed", models.IntegerField()),
                ("max_length", models.IntegerField()),
                ("initial_prompt", models.CharField()),
                (
                    "experiment",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=models.DO_NOTHING,
                        related_name="runs",
                        to="integrity.experimentconfig",
                    ),
                ),
            ],
            system="embeddings",
            options={
                "verbose_name": "experiment run",
                "db_table": "run",
                "indexes": [fields.LongNameIndex(fields=["experiment"], name="ix_run_experiment_id")],
            },
        ),
        AdoptTable(
            name="Invocation",
            fields=[
                ("id", _id()),
                ("started_at", fields.NaiveDateTimeField(blank=True, null=True)),
                ("completed_at", fields.NaiveDateTimeField(blank=True, null=True)),
                ("model", models.CharField()),
                ("type", models.CharField(choices=[("TEXT", "text"), ("IMAGE", "image")], max_length=5)),
                ("seed", models.IntegerField()),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.DO_NOTHING,
                        related_name="invocations",
                        to="integrity.experimentrun",
                    ),
                ),
                ("sequence_number", models.IntegerField()),
                (
                    "input_invocation",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=models.DO_NOTHING,
                        related_name="successors",
                        to="integrity.invocation",
                    ),
                ),
                ("output_text", models.CharField(blank=True, null=True)),
                ("output_image_data", models.BinaryField(blank=True, null=True)),
            ],
            system="embeddings",
            options={
                "db_table": "invocation",
                "indexes": [
                    fields.LongNameIndex(fields=["run"], name="ix_invocation_run_id"),
                    fields.LongNameIndex(fields=["input_invocation"], name="ix_invocation_input_invocation_id"),
                ],
            },
        ),
        AdoptTable(
            name="Embedding",
            fields=[
                ("id", _id()),
                ("started_at", fields.NaiveDateTimeField(blank=True, null=True)),
                ("completed_at", fields.NaiveDateTimeField(blank=True, null=True)),
                (
                    "invocation",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.DO_NOTHING,
                        related_name="embeddings",
                        to="integrity.invocation",
                    ),
                ),
                ("embedding_model", models.CharField()),
                ("vector", fields.VectorField(blank=True, dimensions=768, null=True)),
            ],
            system="embeddings",
            options={
                "db_table": "embedding",
                "indexes": [fields.LongNameIndex(fields=["invocation"], name="ix_embedding_invocation_id")],
            },
        ),
        AdoptTable(
            name="PersistenceDiagram",
            fields=[
                ("id", _id()),
                ("started_at", fields.NaiveDateTimeField(blank=True, null=True)),
                ("completed_at", fields.NaiveDateTimeField(blank=True, null=True)),
                ("diagram_data", models.BinaryField(blank=True, null=True)),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.DO_NOTHING,
                        related_name="persistence_diagrams",
                        to="integrity.experimentrun",
                    ),
                ),
                ("embedding_model", models.CharField()),
            ],
            system="embeddings",
            options={
                "verbose_name": "persistence diagram",
                "db_table": "persistencediagram",
                "indexes": [fields.LongNameIndex(fields=["run"], name="ix_persistencediagram_run_id")],
            },
        ),
        AdoptTable(
            name="ClusteringResult",
            fields=[
                ("id", _id()),
                ("created_at", fields.NaiveDateTimeField(default=fields.naive_utc_now)),
                ("started_at", fields.NaiveDateTimeField(blank=True, null=True)),
                ("completed_at", fields.NaiveDateTimeField(blank=True, null=True)),
                ("embedding_model", models.CharField()),
                ("algorithm", models.CharField()),
                ("parameters", models.JSONField()),
            ],
            system="clustering",
            options={
                "verbose_name": "clustering result",
                "db_table": "clusteringresult",
            },
        ),
        AdoptTable(
            name="Cluster",
            fields=[
                ("id", _id()),
                (
                    "clustering_result",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.DO_NOTHING,
                        related_name="clusters",
                        to="integrity.clusteringresult",
                    ),
                ),
                ("cluster_id", models.IntegerField(help_text="Number within the clustering; -1 holds the outliers.")),
                (
                    "medoid_embedding",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=models.DO_NOTHING,
                        related_name="medoid_of",
                        to="integrity.embedding",
                    ),
                ),
                ("size", models.IntegerField()),
                ("properties", models.JSONField()),
            ],
            system="clustering",
            options={
                "db_table": "cluster",
                "indexes": [
                    fields.LongNameIndex(fields=["clustering_result"], name="ix_cluster_clustering_result_id"),
                    fields.LongNameIndex(fields=["medoid_embedding"], name="ix_cluster_medoid_embedding_id"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("clustering_result", "cluster_id"), name="unique_cluster_per_result"
                    )
                ],
            },
        ),
        AdoptTable(
            name="EmbeddingCluster",
            fields=[
                ("id", _id()),
                (
                    "embedding",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.DO_NOTHING,
                        related_name="assignments",
                        to="integrity.embedding",
                    ),
                ),
                (
                    "clustering_result",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.DO_NOTHING,
                        related_name="assignments",
                        to="integrity.clusteringresult",
                    ),
                ),
                (
                    "cluster",
                    models.ForeignKey(
                        db_index=False, on_delete=models.DO_NOTHING, related_name="assignments", to="integrity.cluster"
                    ),
                ),
            ],
            system="clustering",
            options={
                "verbose_name": "cluster assignment",
                "db_table": "embeddingcluster",
                "indexes": [
                    fields.LongNameIndex(fields=["embedding"], name="ix_embeddingcluster_embedding_id"),
                    fields.LongNameIndex(fields=["clustering_result"], name="ix_embeddingcluster_clustering_result_id"),
                    fields.LongNameIndex(fields=["cluster"], name="ix_embeddingcluster_cluster_id"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("embedding", "clustering_result"), name="unique_embedding_clustering"
                    )
                ],
            },
        ),
        AdoptTable(
            name="PatternLineageNode",
            fields=[
                ("id", _id()),
                ("pattern_id", models.CharField(max_length=255)),
                ("pattern_name", models.CharField(max_length=255)),
                ("pattern_type", models.CharField(max_length=100)),
                ("pattern_version", models.CharField(db_default="1.0.0", default="1.0.0", max_length=50)),
                ("lineage_id", models.UUIDField()),
                ("generation", models.IntegerField(db_default=1, default=1)),
                ("source_system", models.CharField(blank=True, max_length=100, null=True)),
                ("source_user", models.CharField(blank=True, max_length=100, null=True)),
                ("source_event_id", models.UUIDField(blank=True, null=True)),
                ("pattern_data", models.JSONField()),
                ("metadata", models.JSONField(blank=True, null=True)),
                ("correlation_id", models.UUIDField()),
                ("created_at", models.DateTimeField(blank=True, default=timezone.now, null=True)),
                ("event_type", models.CharField(blank=True, max_length=100, null=True)),
                ("tool_name", models.CharField(blank=True, max_length=255, null=True)),
                ("file_path", models.TextField(blank=True, null=True)),
                ("language", models.CharField(blank=True, max_length=50, null=True)),
                ("complexity_score", models.DecimalField(blank=True, decimal_places=2, max_digits=3, null=True)),
                ("documentation_score", models.DecimalField(blank=True, decimal_places=2, max_digits=3, null=True)),
                ("test_coverage_score", models.DecimalField(blank=True, decimal_places=2, max_digits=3, null=True)),
                ("reusability_score", models.DecimalField(blank=True, decimal_places=2, max_digits=3, null=True)),
                ("maintainability_score", models.DecimalField(blank=True, decimal_places=2, max_digits=3, null=True)),
                ("overall_quality", models.DecimalField(blank=True, decimal_places=2, max_digits=3, null=True)),
                ("usage_count", models.IntegerField(blank=True, db_default=0, default=0, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                ("used_by_agents", fields.TextArrayField(blank=True, null=True)),
            ],
            system="patterns",
            options={
                "verbose_name": "pattern lineage node",
                "db_table": "pattern_lineage_nodes",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("pattern_id", "pattern_version"), name="unique_pattern_lineage_version"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("complexity_score__gte", 0), ("complexity_score__lte", 1)),
                        name="pattern_lineage_nodes_complexity_score_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("documentation_score__gte", 0), ("documentation_score__lte", 1)),
                        name="pattern_lineage_nodes_documentation_score_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("test_coverage_score__gte", 0), ("test_coverage_score__lte", 1)),
                        name="pattern_lineage_nodes_test_coverage_score_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reusability_score__gte", 0), ("reusability_score__lte", 1)),
                        name="pattern_lineage_nodes_reusability_score_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("maintainability_score__gte", 0), ("maintainability_score__lte", 1)),
                        name="pattern_lineage_nodes_maintainability_score_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("overall_quality__gte", 0), ("overall_quality__lte", 1)),
                        name="pattern_lineage_nodes_overall_quality_check",
                    ),
                ],
            },
            optional=[
                "complexity_score",
                "documentation_score",
                "test_coverage_score",
                "reusability_score",
                "maintainability_score",
                "overall_quality",
            ],
        ),
        AdoptTable(
            name="PatternQualityMetric",
            fields=[
                ("id", _id(db_default=fields.RandomUUID())),
                ("pattern_id", models.UUIDField()),
                ("quality_score", models.FloatField()),
                ("confidence", models.FloatField()),
                ("measurement_timestamp", models.DateTimeField(db_default=Now(), default=timezone.now)),
                ("version", models.TextField(blank=True, db_default="1.0.0", default="1.0.0", null=True)),
                (
                    "metadata",
                    models.JSONField(
                        blank=True, db_default=models.Value({}, models.JSONField()), default=dict, null=True
                    ),
                ),
                ("created_at", models.DateTimeField(blank=True, db_default=Now(), default=timezone.now, null=True)),
                ("updated_at", models.DateTimeField(blank=True, db_default=Now(), editable=False, null=True)),
            ],
            system="patterns",
            options={
                "verbose_name": "pattern quality metric",
                "db_table": "pattern_quality_metrics",
                "indexes": [
                    fields.LongNameIndex(fields=["pattern_id"], name="idx_pattern_quality_metrics_pattern_id"),
                    fields.LongNameIndex(fields=["-quality_score"], name="idx_pattern_quality_metrics_quality_score"),
                    fields.LongNameIndex(
                        fields=["-measurement_timestamp"], name="idx_pattern_quality_metrics_measurement_timestamp"
                    ),
                    fields.GinIndex(fields=["metadata"], name="idx_pattern_quality_metrics_metadata"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("quality_score__gte", 0), ("quality_score__lte", 1)),
                        name="pattern_quality_metrics_quality_score_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("confidence__gte", 0), ("confidence__lte", 1)),
                        name="pattern_quality_metrics_confidence_check",
                    ),
                ],
            },
            optional=["updated_at"],
        ),
        AdoptTable(
            name="WorkflowExecution",
            fields=[
                ("id", _id()),
                ("workflow_id", models.CharField(max_length=255)),
                ("workflow_type", models.CharField(max_length=100)),
                ("entity_type", models.CharField(max_length=50)),
                ("entity_id", models.UUIDField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("running", "Running"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                        ],
                        default="pending",
                        max_length=20,
                    ),
                ),
                ("error_message", models.CharField(blank=True, max_length=1000, null=True)),
                ("created_at", fields.NaiveDateTimeField(default=fields.naive_utc_now)),
                ("started_at", fields.NaiveDateTimeField(blank=True, null=True)),
                ("completed_at", fields.NaiveDateTimeField(blank=True, null=True)),
            ],
            system="workflows",
            options={
                "verbose_name": "workflow execution",
                "db_table": "workflow_executions",
                "indexes": [
                    fields.LongNameIndex(fields=["workflow_id"], name="ix_workflow_executions_workflow_id"),
                    fields.LongNameIndex(fields=["entity_id"], name="ix_workflow_executions_entity_id"),
                ],
            },
        ),
        AdoptTable(
            name="CourseFile",
            fields=[
                ("id", _id()),
                ("course_id", models.UUIDField()),
                ("module_id", models.UUIDField(blank=True, null=True)),
                ("name", models.CharField()),
                ("original_name", models.CharField()),
                ("storage_path", models.TextField()),
                ("mime_type", models.CharField(blank=True, null=True)),
                ("size_bytes", models.BigIntegerField(blank=True, null=True)),
                (
                    "status",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("pending", "Pending"),
                            ("processing", "Processing"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                        ],
                        default="pending",
                        max_length=20,
                        null=True,
                    ),
                ),
                ("processing_error", models.TextField(blank=True, null=True)),
                ("metadata", models.JSONField(blank=True, null=True)),
                ("created_at", models.DateTimeField(blank=True, default=timezone.now, null=True)),
                ("updated_at", models.DateTimeField(blank=True, default=timezone.now, null=True)),
                ("embedding_status", models.CharField(blank=True, max_length=50, null=True)),
                ("embeddings_generated_at", models.DateTimeField(blank=True, null=True)),
            ],
            system="files",
            options={
                "verbose_name": "file",
                "db_table": "course_files",
            },
        ),
        AdoptTable(
            name="FileChunk",
            fields=[
                ("id", _id()),
                (
                    "file",
                    models.ForeignKey(
                        db_index=False, on_delete=models.DO_NOTHING, related_name="chunks", to="integrity.coursefile"
                    ),
                ),
                ("chunk_index", models.IntegerField()),
                ("content", models.TextField()),
                ("tokens", models.IntegerField(blank=True, null=True)),
                ("metadata", models.JSONField(blank=True, null=True)),
                ("chunk_metadata", models.JSONField(blank=True, null=True)),
                ("chunk_type", models.TextField(blank=True, null=True)),
                ("hierarchy_level", models.IntegerField(blank=True, db_default=0, default=0, null=True)),
                (
                    "importance",
                    models.TextField(
                        blank=True, choices=[("high", "High"), ("medium", "Medium"), ("low", "Low")], null=True
                    ),
                ),
                ("section_title", models.TextField(blank=True, null=True)),
                ("is_start_of_section", models.BooleanField(blank=True, null=True)),
                ("is_end_of_section", models.BooleanField(blank=True, null=True)),
                ("concepts", models.JSONField(blank=True, null=True)),
                ("content_length", models.IntegerField(blank=True, null=True)),
                ("search_vector", fields.SearchVectorField(blank=True, null=True)),
                ("created_at", models.DateTimeField(blank=True, default=timezone.now, null=True)),
            ],
            system="files",
            options={
                "verbose_name": "chunk",
                "db_table": "file_chunks",
                "indexes": [fields.LongNameIndex(fields=["file"], name="idx_file_chunks_file_id")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("importance__in", ["high", "medium", "low"])),
                        name="file_chunks_importance_check",
                    )
                ],
            },
        ),
        AdoptTable(
            name="FileEmbedding",
            fields=[
                ("id", _id()),
                (
                    "chunk",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.CASCADE,
                        related_name="embeddings",
                        to="integrity.filechunk",
                    ),
                ),
                ("embedding", fields.PgVectorField(dimensions=1536)),
                (
                    "model_version",
                    models.TextField(db_default="text-embedding-3-small", default="text-embedding-3-small"),
                ),
                ("created_at", models.DateTimeField(blank=True, default=timezone.now, null=True)),
                ("updated_at", models.DateTimeField(blank=True, default=timezone.now, null=True)),
            ],
            system="files",
            options={
                "verbose_name": "chunk embedding",
                "db_table": "file_embeddings",
                "indexes": [
                    fields.IvfflatIndex(
                        fields=["embedding"],
                        lists=100,
                        name="file_embeddings_embedding_idx",
                        opclasses=["vector_cosine_ops"],
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("chunk", "model_version"), name="unique_chunk_embedding"),
                    fields.ForeignKeyConstraint(
                        field="chunk", name="file_embeddings_chunk_id_fkey", on_delete="CASCADE"
                    ),
                ],
            },
            extensions=["vector"],
        ),
        CloseBooks(),
    ]
