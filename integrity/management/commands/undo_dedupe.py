"""``manage.py undo_dedupe RUN``: bring back what a run removed and repointed."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import CommandParser

from integrity.dedupe import list_runs, undo_run
from integrity.dedupe.advice import command_for
from integrity.management.base import CLEAN, FOUND, IntegrityCommand, failure
from integrity.management.report import plural, print_undo
from integrity.management.values import positive


class Command(IntegrityCommand):
    """Exit codes: 0 all came back, 1 some groups were refused (the reasons are printed), 2 could not be done."""

    help = "Bring back the rows that a run moved to quarantine, and point references where they pointed before."
    has_format = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("run_id", type=int, nargs="?", metavar="RUN", help="The run's number.")
        parser.add_argument("--list", action="store_true", help="List the runs and stop.")
        parser.add_argument(
            "--group", type=positive, action="append", default=[], metavar="N", help="Only this group; may be repeated."
        )
        parser.add_argument("--dry-run", action="store_true", help="Show what would come back; change nothing.")
        parser.add_argument("--no-input", action="store_true", help="Accepted for scripts: undoing never asks.")

    def run(self, **options: Any) -> int:
        if options["list"]:
            return self._list(using=options["database"])
        if options["run_id"] is None:
            them_all = command_for("undo_dedupe --list", using=options["database"])
            raise failure(f"Which run? See them all: {them_all}")
        with self.progress() as report:
            undone = undo_run(
                options["run_id"],
                apps=apps,
                using=options["database"],
                groups=options["group"],
                dry_run=options["dry_run"],
                report=report,
            )
        if options["format"] == "json":
            self.print_json({"undo": undone.to_json()})
        else:
            print_undo(self.console(), undone, dry_run=options["dry_run"])
        return FOUND if undone.refused else CLEAN

    def _list(self, *, using: str) -> int:
        runs = list_runs(apps=apps, using=using)
        if self.options["format"] == "json":
            self.print_json({"runs": [run.to_json() for run in runs]})
            return CLEAN
        for run in runs:
            self.stdout.write(
                f"run {run.id}: {run.rule}, {run.state}; quarantined {plural(run.removed, 'row')} and "
                f"{plural(run.collisions, 'colliding row')}, moved {plural(run.repointed, 'reference')}"
            )
        if not runs:
            self.stdout.write("No run yet.")
        return CLEAN
