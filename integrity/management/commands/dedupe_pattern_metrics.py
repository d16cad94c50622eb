"""``manage.py dedupe_pattern_metrics``: one quality metric for each pattern."""

from integrity.management.dedupe import DedupeCommand


class Command(DedupeCommand):
    """The rule ``pattern_metrics``."""

    help = (
        "Find quality metrics of one pattern, show which row would stay and why; with --apply "
        "move the others to quarantine and their references to the survivor."
    )
    rule_name = "pattern_metrics"
