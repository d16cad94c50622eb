"""System 1, embeddings: what a run of a network of models produced, and one vector for each output.

Tables of panic-tda (SQLite, SQLModel). Foreign keys are declared there and not enforced: orphans are normal.
"""

from __future__ import annotations

from django.db import models

from integrity.models.fields import LongNameIndex, NaiveDateTimeField, VectorField, uuid7


class ExperimentConfig(models.Model):
    """What was to be tried: networks, prompts, seeds."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    networks = models.JSONField()
    seeds = models.JSONField()
    prompts = models.JSONField()
    embedding_models = models.JSONField()
    max_length = models.IntegerField()
    started_at = NaiveDateTimeField(null=True, blank=True)
    completed_at = NaiveDateTimeField(null=True, blank=True)

    class Meta:
        db_table = "experimentconfig"
        verbose_name = "experiment"

    def __str__(self) -> str:
        return f"experiment {self.pk}"


class ExperimentRun(models.Model):
    """One run of a network from one prompt; the word run alone belongs to our books."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    network = models.JSONField()
    seed = models.IntegerField()
    max_length = models.IntegerField()
    initial_prompt = models.CharField()
    experiment = models.ForeignKey(
        ExperimentConfig, models.DO_NOTHING, null=True, blank=True, db_index=False, related_name="runs"
    )

    class Meta:
        db_table = "run"
        verbose_name = "experiment run"
        indexes = [LongNameIndex(fields=["experiment"], name="ix_run_experiment_id")]

    def __str__(self) -> str:
        return f"{self.initial_prompt[:60]} ({self.pk})"


class Invocation(models.Model):
    """One call of one model within a run; its output is a text or an image."""

    class Type(models.TextChoices):
        """How SQLModel writes its enum: by name."""

        TEXT = "TEXT", "text"
        IMAGE = "IMAGE", "image"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    started_at = NaiveDateTimeField(null=True, blank=True)
    completed_at = NaiveDateTimeField(null=True, blank=True)
    model = models.CharField()
    type = models.CharField(max_length=5, choices=Type)
    seed = models.IntegerField()
    run = models.ForeignKey(ExperimentRun, models.DO_NOTHING, db_index=False, related_name="invocations")
    sequence_number = models.IntegerField()
    input_invocation = models.ForeignKey(
        "self", models.DO_NOTHING, null=True, blank=True, db_index=False, related_name="successors"
    )
    output_text = models.CharField(null=True, blank=True)
    output_image_data = models.BinaryField(null=True, blank=True)

    class Meta:
        db_table = "invocation"
        indexes = [
            LongNameIndex(fields=["run"], name="ix_invocation_run_id"),
            LongNameIndex(fields=["input_invocation"], name="ix_invocation_input_invocation_id"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "sequence_number"], name="unique_run_sequence_number"),
        ]

    def __str__(self) -> str:
        return f"{self.model} #{self.sequence_number} ({self.pk})"


class Embedding(models.Model):
    """The vector of one invocation's output by one embedding model; without a vector it was never finished."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    started_at = NaiveDateTimeField(null=True, blank=True)
    completed_at = NaiveDateTimeField(null=True, blank=True)
    invocation = models.ForeignKey(Invocation, models.DO_NOTHING, db_index=False, related_name="embeddings")
    embedding_model = models.CharField()
    vector = VectorField(dimensions=768, null=True, blank=True)

    class Meta:
        db_table = "embedding"
        indexes = [LongNameIndex(fields=["invocation"], name="ix_embedding_invocation_id")]
        constraints = [
            models.UniqueConstraint(fields=["invocation", "embedding_model"], name="unique_invocation_embedding_model"),
        ]

    def __str__(self) -> str:
        return f"{self.embedding_model} of {self.invocation_id} ({self.pk})"


class PersistenceDiagram(models.Model):
    """The topology of one run's embeddings by one embedding model."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    started_at = NaiveDateTimeField(null=True, blank=True)
    completed_at = NaiveDateTimeField(null=True, blank=True)
    diagram_data = models.BinaryField(null=True, blank=True)
    run = models.ForeignKey(ExperimentRun, models.DO_NOTHING, db_index=False, related_name="persistence_diagrams")
    embedding_model = models.CharField()

    class Meta:
        db_table = "persistencediagram"
        verbose_name = "persistence diagram"
        indexes = [LongNameIndex(fields=["run"], name="ix_persistencediagram_run_id")]
        constraints = [
            models.UniqueConstraint(fields=["run", "embedding_model"], name="unique_run_embedding_model"),
        ]

    def __str__(self) -> str:
        return f"{self.embedding_model} of {self.run_id} ({self.pk})"
