"""One embedding for each invocation and embedding model: complete rows first, then the oldest."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models.functions import Length
from django.db.models.lookups import Exact, GreaterThan

from integrity.dedupe import DedupeRule, Earliest
from integrity.operations import AddUniqueConstraintOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("integrity", "0001_initial")]

    operations = [
        AddUniqueConstraintOnline(
            model_name="embedding",
            constraint=models.UniqueConstraint(
                fields=["invocation", "embedding_model"], name="unique_invocation_embedding_model"
            ),
            rule=DedupeRule(
                name="embeddings",
                model="integrity.Embedding",
                fields=("invocation", "embedding_model"),
                keep=(Earliest("started_at"),),
                complete=(models.Q(Exact(Length("vector"), 768 * 4)), models.Q(GreaterThan(Length("vector"), 0))),
                content=("vector",),
                vector="vector",
            ),
        ),
    ]
