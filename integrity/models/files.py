"""System 5, files: uploaded files, their chunks, and the chunks' embeddings."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from integrity.models.fields import (
    ForeignKeyConstraint,
    IvfflatIndex,
    LongNameIndex,
    PgVectorField,
    SearchVectorField,
    uuid7,
)


class CourseFile(models.Model):
    """One uploaded file and how far it has been processed."""

    class Status(models.TextChoices):
        """In the order in which they are reached."""

        PENDING = "pending"
        PROCESSING = "processing"
        COMPLETED = "completed"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    course_id = models.UUIDField()
    module_id = models.UUIDField(null=True, blank=True)
    name = models.CharField()
    original_name = models.CharField()
    storage_path = models.TextField()
    mime_type = models.CharField(null=True, blank=True)
    size_bytes = models.BigIntegerField(null=True, blank=True)
    status = models.CharField(max_length=20, choices=Status, null=True, blank=True, default=Status.PENDING)
    processing_error = models.TextField(null=True, blank=True)
    metadata = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    updated_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    embedding_status = models.CharField(max_length=50, null=True, blank=True)
    embeddings_generated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "course_files"
        verbose_name = "file"

    def __str__(self) -> str:
        return self.original_name


class FileChunk(models.Model):
    """One piece of one file's text, in the order of ``chunk_index``."""

    class Importance(models.TextChoices):
        """What the database's own check allows."""

        HIGH = "high"
        MEDIUM = "medium"
        LOW = "low"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    file = models.ForeignKey(CourseFile, models.DO_NOTHING, db_index=False, related_name="chunks")
    chunk_index = models.IntegerField()
    content = models.TextField()
    tokens = models.IntegerField(null=True, blank=True)
    metadata = models.JSONField(null=True, blank=True)
    chunk_metadata = models.JSONField(null=True, blank=True)
    chunk_type = models.TextField(null=True, blank=True)
    hierarchy_level = models.IntegerField(null=True, blank=True, default=0, db_default=0)
    importance = models.TextField(choices=Importance, null=True, blank=True)
    section_title = models.TextField(null=True, blank=True)
    is_start_of_section = models.BooleanField(null=True, blank=True)
    is_end_of_section = models.BooleanField(null=True, blank=True)
    concepts = models.JSONField(null=True, blank=True)
    content_length = models.IntegerField(null=True, blank=True)
    search_vector = SearchVectorField(null=True, blank=True)
    created_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    version = models.IntegerField(default=1, db_default=1)
    is_active = models.BooleanField(default=True, db_default=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "file_chunks"
        verbose_name = "chunk"
        indexes = [
            LongNameIndex(fields=["file"], name="idx_file_chunks_file_id"),
            LongNameIndex(
                fields=["file", "is_active"], condition=models.Q(is_active=True), name="idx_file_chunks_active"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["file", "version", "chunk_index"], name="unique_file_version_chunk"),
            models.CheckConstraint(
                condition=models.Q(importance__in=["high", "medium", "low"]), name="file_chunks_importance_check"
            ),
        ]

    def __str__(self) -> str:
        return f"chunk {self.chunk_index} of {self.file_id}"


class FileEmbedding(models.Model):
    """The vector of one chunk by one version of an embedding model."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    chunk = models.ForeignKey(
        FileChunk, models.RESTRICT, db_index=False, db_constraint=False, related_name="embeddings"
    )
    embedding = PgVectorField(dimensions=1536)
    model_version = models.TextField(default="text-embedding-3-small", db_default="text-embedding-3-small")
    created_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    updated_at = models.DateTimeField(null=True, blank=True, default=timezone.now)

    class Meta:
        db_table = "file_embeddings"
        verbose_name = "chunk embedding"
        indexes = [IvfflatIndex(fields=["embedding"], name="file_embeddings_embedding_idx", lists=100)]
        constraints = [
            models.UniqueConstraint(fields=["chunk", "model_version"], name="unique_chunk_embedding"),
            ForeignKeyConstraint(field="chunk", name="file_embeddings_chunk_id_fkey", on_delete="RESTRICT"),
        ]

    def __str__(self) -> str:
        return f"{self.model_version} of {self.chunk_id}"
