"""``manage.py dedupe_cluster_assignments``: one assignment of an embedding in each clustering."""

from integrity.management.dedupe import DedupeCommand


class Command(DedupeCommand):
    """The rule ``assignments``."""

    help = (
        "Find assignments of one embedding in one clustering, show which row would stay and why; with --apply "
        "move the others to quarantine and their references to the survivor."
    )
    rule_name = "assignments"
