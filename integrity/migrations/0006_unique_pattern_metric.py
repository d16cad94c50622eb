"""One quality metric for each pattern, the newest measurement; patterns without lineage may have one too."""

from __future__ import annotations

from django.db import migrations, models

from integrity.dedupe import DedupeRule, Latest
from integrity.operations import AddUniqueConstraintOnline, DropForeignKeyIfExists, DropIndexIfExists


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("integrity", "0005_cluster_assignments")]

    operations = [
        DropForeignKeyIfExists(model_name="patternqualitymetric", name="pattern_quality_metrics_pattern_id_fkey"),
        AddUniqueConstraintOnline(
            model_name="patternqualitymetric",
            constraint=models.UniqueConstraint(fields=["pattern_id"], name="pattern_quality_metrics_pattern_id_unique"),
            rule=DedupeRule(
                name="pattern_metrics",
                model="integrity.PatternQualityMetric",
                fields=("pattern_id",),
                keep=(Latest("measurement_timestamp"), Latest("created_at")),
            ),
        ),
        DropIndexIfExists(
            model_name="patternqualitymetric",
            name="idx_pattern_quality_metrics_pattern_id",
            also_called=["idx_pqm_pattern_id"],
        ),
    ]
