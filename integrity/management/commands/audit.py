"""``manage.py audit``: what breaks a rule in a database, and what allows it."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import CommandParser

from integrity.audits import Level, registered_audits, run_audits
from integrity.audits.reports import json_report, text_report
from integrity.management.base import CLEAN, FOUND, IntegrityCommand


class Command(IntegrityCommand):
    help = (
        "Look for duplicates, missing constraints, orphans and other damage. Reads only, and needs none of this app's "
        "tables. Exit codes: 0 nothing found, 1 something at or above --fail-level, 2 could not run."
    )
    has_format = True
    if_interrupted = "An audit changes nothing: start it again."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--tag", "-t", action="append", default=[], help="Run these audits only. Repeatable.")
        parser.add_argument(
            "--fail-level",
            choices=[level.name for level in reversed(Level)],
            default=Level.WARNING.name,
            help="The lowest level that makes the exit code 1. Default: WARNING.",
        )
        parser.add_argument("--list", action="store_true", help="List the audits by tag, and run none.")

    def run(self, **options: Any) -> int:
        if options["list"]:
            return self._list(options["tag"])
        using, fail_level = options["database"], Level[options["fail_level"]]
        with self.progress() as report:
            found = run_audits(apps=apps, using=using, tags=options["tag"], report=report)
        least = Level.INFO if options["verbosity"] > 1 else min(Level.WARNING, fail_level)
        findings = [finding for finding in found if finding.level >= least]
        if options["format"] == "json":
            self.print_json(json_report(findings=findings, using=using, fail_level=fail_level))
        else:
            width = self.console().width if self.stdout.isatty() else 0
            for section in text_report(findings=findings, using=using, width=width):
                self.stdout.write(section.text, self._style_of(section.level))
        return FOUND if any(finding.level >= fail_level for finding in findings) else CLEAN

    def _style_of(self, level: Level | None) -> Any:
        styles = {Level.INFO: self.style.NOTICE, Level.WARNING: self.style.WARNING}
        return None if level is None else styles.get(level, self.style.ERROR)

    def _list(self, tags: list[str]) -> int:
        for audit in registered_audits(tags=tags):
            self.stdout.write(f"{audit.tag}: {audit.question}\n    {', '.join(audit.ids)}")
        return CLEAN
