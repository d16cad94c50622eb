"""``manage.py dedupe_workflow_executions``: one execution for each workflow."""

from integrity.management.dedupe import DedupeCommand


class Command(DedupeCommand):
    """The rule ``workflows``."""

    help = (
        "Find executions of one workflow, show which row would stay and why; with --apply "
        "move the others to quarantine and their references to the survivor."
    )
    rule_name = "workflows"
