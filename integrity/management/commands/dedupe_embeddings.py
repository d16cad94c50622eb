"""``manage.py dedupe_embeddings``: one embedding for each invocation and embedding model."""

from __future__ import annotations

from typing import Any

from integrity.dedupe import DedupeRule
from integrity.management.dedupe import DedupeCommand
from integrity.rules import get_rule


class Command(DedupeCommand):
    """The rule ``embeddings``."""

    help = (
        "Find embeddings with the same invocation and model, show which row would stay and why; with --apply move the "
        "others to quarantine and their references to the survivor."
    )

    def get_rule(self, **_options: Any) -> DedupeRule:
        return get_rule("embeddings")
