"""The pipeline's books."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("integrity", "0002_unique_embedding"),
    ]

    operations = [
        migrations.CreateModel(
            name="Chore",
            fields=[
                ("name", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("done_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "chore",
                "db_table": "integrity_chore",
            },
        ),
        migrations.CreateModel(
            name="CircuitBreaker",
            fields=[
                ("name", models.CharField(max_length=200, primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[("closed", "Closed"), ("open", "Open"), ("half_open", "Half Open")],
                        default="closed",
                        max_length=10,
                    ),
                ),
                ("epoch", models.BigIntegerField(default=0)),
                ("failures", models.IntegerField(default=0)),
                ("openings", models.IntegerField(default=0)),
                ("until", models.DateTimeField(null=True)),
                ("reason", models.TextField(default="")),
            ],
            options={
                "verbose_name": "circuit breaker",
                "db_table": "integrity_breaker",
            },
        ),
        migrations.CreateModel(
            name="FileState",
            fields=[
                ("file_id", models.UUIDField(primary_key=True, serialize=False)),
                ("current_version", models.IntegerField(default=0)),
                ("serving_version", models.IntegerField(null=True)),
                ("model", models.TextField(default="")),
                ("content_hash", models.CharField(default="", max_length=64)),
                ("updated_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "verbose_name": "file state",
                "db_table": "integrity_file_state",
            },
        ),
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("queue", models.CharField(max_length=47)),
                ("msg_id", models.BigIntegerField()),
                ("chunk_id", models.UUIDField(null=True)),
                ("file_id", models.UUIDField(null=True)),
                ("version", models.IntegerField(null=True)),
                ("model", models.TextField(default="")),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("malformed", "Malformed"),
                            ("too_large", "Too Large"),
                            ("unknown_job_type", "Unknown Type"),
                            ("rejected", "Rejected"),
                            ("bad_answer", "Bad Answer"),
                            ("failed", "Failed"),
                            ("crash_loop", "Crash Loop"),
                            ("wrong_model", "Wrong Model"),
                        ],
                        max_length=20,
                    ),
                ),
                ("error", models.TextField(default="")),
                ("attempts", models.IntegerField(default=0)),
                ("read_ct", models.IntegerField(default=0)),
                ("message", models.JSONField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("closed_at", models.DateTimeField(null=True)),
                ("resolution", models.CharField(default="", max_length=20)),
            ],
            options={
                "verbose_name": "dead letter",
                "db_table": "integrity_dead_letter",
                "indexes": [
                    models.Index(
                        condition=models.Q(("closed_at", None)), fields=["chunk_id"], name="integrity_dead_chunk"
                    ),
                    models.Index(
                        condition=models.Q(("closed_at", None)), fields=["file_id"], name="integrity_dead_file"
                    ),
                ],
            },
        ),
    ]
