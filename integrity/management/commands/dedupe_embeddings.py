"""``manage.py dedupe_embeddings``: one embedding for each invocation and embedding model."""

from integrity.management.dedupe import DedupeCommand


class Command(DedupeCommand):
    """The rule ``embeddings``."""

    help = (
        "Find embeddings with the same invocation and model, show which row would stay and why; with --apply move the "
        "others to quarantine and their references to the survivor."
    )
    rule_name = "embeddings"
