"""One invocation for each place in a run, and one persistence diagram for each run and embedding model."""

from __future__ import annotations

from django.db import migrations, models

from integrity.dedupe import DedupeRule, Earliest
from integrity.operations import AddUniqueConstraintOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("integrity", "0003_pipeline")]

    operations = [
        AddUniqueConstraintOnline(
            model_name="invocation",
            constraint=models.UniqueConstraint(fields=["run", "sequence_number"], name="unique_run_sequence_number"),
            rule=DedupeRule(
                name="invocations",
                model="integrity.Invocation",
                fields=("run", "sequence_number"),
                keep=(Earliest("started_at"),),
                complete=(models.Q(output_text__isnull=False) | models.Q(output_image_data__isnull=False),),
            ),
        ),
        AddUniqueConstraintOnline(
            model_name="persistencediagram",
            constraint=models.UniqueConstraint(fields=["run", "embedding_model"], name="unique_run_embedding_model"),
            rule=DedupeRule(
                name="persistence_diagrams",
                model="integrity.PersistenceDiagram",
                fields=("run", "embedding_model"),
                keep=(Earliest("started_at"),),
                complete=(models.Q(diagram_data__isnull=False),),
            ),
        ),
    ]
