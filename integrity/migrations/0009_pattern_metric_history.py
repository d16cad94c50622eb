"""Where measurements are kept that were removed or replaced, for those who want trends.

Those that 0006 removed are in quarantine: they are copied from there.
"""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Now

from integrity import conf
from integrity.dedupe import copy_removed
from integrity.operations import CreateLastingModel


def keep_removed(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Copy what earlier runs have removed, where the setting says so."""
    if conf.keep_metric_history():
        copy_removed(
            table="pattern_quality_metrics",
            into="integrity_pattern_metric_history",
            names=("pattern_id", "quality_score", "confidence", "measurement_timestamp", "version", "metadata"),
            newest="created_at",
            apps=apps,
            using=schema_editor.connection.alias,
        )


class Migration(migrations.Migration):
    dependencies = [("integrity", "0008_file_versions")]

    operations = [
        CreateLastingModel(
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
        migrations.RunPython(keep_removed, migrations.RunPython.noop),
    ]
