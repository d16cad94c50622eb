"""``manage.py dedupe_file_chunks``: one chunk for each place in a version of a file."""

from integrity.management.dedupe import DedupeCommand


class Command(DedupeCommand):
    """The rule ``chunks``."""

    help = (
        "Find chunks of one place in a version of a file, show which row would stay and why; with --apply "
        "move the others to quarantine and their references to the survivor."
    )
    rule_name = "chunks"
