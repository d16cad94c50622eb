"""Versions of a file's chunks, one chunk for each place in a version, and chunks that keep their embeddings."""

from __future__ import annotations

from django.db import migrations, models

from integrity.dedupe import DedupeRule, Earliest, Latest, MostReferenced
from integrity.models.fields import LongNameIndex
from integrity.operations import (
    AddFieldIfMissing,
    AddIndexIfMissing,
    AddUniqueConstraintOnline,
    AlterForeignKeyOnDelete,
)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("integrity", "0007_unique_workflow")]

    operations = [
        AddFieldIfMissing("filechunk", "version", models.IntegerField(db_default=1, default=1)),
        AddFieldIfMissing("filechunk", "is_active", models.BooleanField(db_default=True, default=True)),
        AddFieldIfMissing("filechunk", "archived_at", models.DateTimeField(blank=True, null=True)),
        # First the children's: merging chunks then knows which of their embeddings would collide.
        AddUniqueConstraintOnline(
            model_name="fileembedding",
            constraint=models.UniqueConstraint(fields=["chunk", "model_version"], name="unique_chunk_embedding"),
            rule=DedupeRule(
                name="chunk_embeddings",
                model="integrity.FileEmbedding",
                fields=("chunk", "model_version"),
                keep=(Latest("updated_at"), Latest("created_at")),
            ),
        ),
        AddUniqueConstraintOnline(
            model_name="filechunk",
            constraint=models.UniqueConstraint(
                fields=["file", "version", "chunk_index"], name="unique_file_version_chunk"
            ),
            rule=DedupeRule(
                name="chunks",
                model="integrity.FileChunk",
                fields=("file", "version", "chunk_index"),
                keep=(MostReferenced(), Earliest("created_at")),
            ),
        ),
        AddIndexIfMissing(
            "filechunk",
            LongNameIndex(
                fields=["file", "is_active"], condition=models.Q(("is_active", True)), name="idx_file_chunks_active"
            ),
        ),
        AlterForeignKeyOnDelete(
            "fileembedding", "file_embeddings_chunk_id_fkey", on_delete="RESTRICT", before="CASCADE"
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="fileembedding",
                    name="chunk",
                    field=models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.RESTRICT,
                        related_name="embeddings",
                        to="integrity.filechunk",
                    ),
                )
            ]
        ),
    ]
