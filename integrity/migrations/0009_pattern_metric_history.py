"""Where measurements are kept that a newer one replaced, for those who want trends."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("integrity", "0008_file_versions")]

    operations = [
        migrations.CreateModel(
            name="PatternMetricHistory",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("pattern_id", models.UUIDField()),
                ("quality_score", models.FloatField()),
                ("confidence", models.FloatField()),
                ("measurement_timestamp", models.DateTimeField()),
                ("version", models.TextField(null=True)),
                ("metadata", models.JSONField(null=True)),
                ("recorded_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "verbose_name": "pattern metric history",
                "db_table": "integrity_pattern_metric_history",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("pattern_id", "measurement_timestamp"), name="unique_pattern_measurement"
                    )
                ],
            },
        ),
    ]
