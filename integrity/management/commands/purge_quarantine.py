"""``manage.py purge_quarantine --older-than 30d``: delete for good what old runs have kept."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import CommandParser

from integrity.backends import get_catalogue
from integrity.dedupe import PurgeSummary, list_runs, purge_quarantine
from integrity.management.asking import confirm
from integrity.management.base import CLEAN, IntegrityCommand, failure
from integrity.management.report import plural
from integrity.management.values import age
from integrity.rules import active_rules


class Command(IntegrityCommand):
    """Exit codes: 0 done (also where there was nothing to do), 2 could not be done."""

    help = (
        "Delete the rows and values that old runs have kept, with their plans. They can then not be undone; where each "
        "row went can still be asked with where_is."
    )
    has_format = True
    if_interrupted = "Runs are purged one by one: those before the last are purged, the last one is as it was."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        add("--older-than", type=age, required=True, metavar="AGE", help="Since the run's last change: 30d, 12h, 90m.")
        add("--rule", default="", help="Only runs of this rule.")
        add("--table", default="", help="Only runs of rules for this table.")
        add("--dry-run", action="store_true", help="Show what would be deleted; change nothing.")
        add("--no-input", action="store_true", help="Do not ask before anything is deleted.")

    def run(self, **options: Any) -> int:
        if options["rule"] or options["table"]:
            self._require_possible(**options)
        words = {
            "older_than": options["older_than"],
            "rule": options["rule"],
            "table": options["table"],
            "apps": apps,
            "using": options["database"],
        }
        found = purge_quarantine(**words, dry_run=True)
        if options["dry_run"] or not found.runs:
            self._show(found, "would be deleted")
            return CLEAN
        if not options["no_input"]:
            confirm(self, f"Delete {self._what(found)} for good? They cannot be brought back.")
        with self.progress() as report:
            self._show(purge_quarantine(**words, report=report), "deleted")
        return CLEAN

    def _require_possible(self, *, rule: str, table: str, database: str, **_options: Any) -> None:
        """Refuse a name that no run can ever have; one that no run has yet is what a scheduled purge may begin with."""
        runs = list_runs(apps=apps, using=database)
        rules = {run.rule for run in runs} | {rule.name for rule in active_rules()}
        tables = {run.table for run in runs}
        if rule and rule not in rules:
            raise failure(f"No run is of rule {rule!r}. Rules: {', '.join(sorted(rules)) or 'none'}.")
        if table and table not in tables | get_catalogue(using=database).tables():
            raise failure(f"No run is of table {table!r}. Tables of runs: {', '.join(sorted(tables)) or 'none'}.")

    def _what(self, found: PurgeSummary) -> str:
        return (
            f"{plural(found.rows, 'removed row')} and {plural(found.changes, 'changed value')} of "
            f"{plural(len(found.runs), 'run')}"
        )

    def _show(self, found: PurgeSummary, done: str) -> None:
        if self.options["format"] == "json":
            self.print_json({"purge": found.to_json()})
            return
        self.stdout.write(f"{self._what(found)} {done}." if found.runs else "Nothing is that old.")
        for run in found.unfinished:
            self.stdout.write(f"Run {run} is not at its end and was left alone: resume it, cancel it or undo it.")
