"""The register of side tables, in which removed rows and changed values are kept, typed, until purged."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class SideTable(models.Model):
    """One typed table beside ``table``: its quarantine, or the values that runs changed in it.

    ``generation`` rises when the original's columns changed, so that what is kept stays as it was (``columns``).
    """

    kind = models.CharField(max_length=20)
    table = models.CharField(max_length=200)
    name = models.CharField(max_length=63, unique=True)
    generation = models.IntegerField(default=1)
    columns = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "integrity_side_table"
        verbose_name = "side table"

    def __str__(self) -> str:
        return f"{self.kind} of {self.table} ({self.name})"
