"""``manage.py where_is ID``: where a row is now, and which row stands for it."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import CommandParser

from integrity.dedupe import Step, Whereabouts, where_is
from integrity.management.base import CLEAN, FOUND, IntegrityCommand, failure


class Command(IntegrityCommand):
    """Exit codes: 0 a row stands for it, 1 none does or nothing is known of it, 2 could not be done."""

    help = "Find a row by its primary key: in its table, in quarantine, or purged; and the row that stands for it now."
    has_format = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("id", metavar="ID", help="The primary key; several columns with commas between.")
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--table", default="", help="Default: all tables from which runs have removed rows.")
        where.add_argument("--model", default="", metavar="app.Model", help="The model of that table.")

    def run(self, **options: Any) -> int:
        table = _table_of(options["model"]) if options["model"] else options["table"]
        found = where_is(options["id"], apps=apps, using=options["database"], table=table)
        if options["format"] == "json":
            self.print_json({"whereabouts": [one.to_json() for one in found]})
        else:
            for one in found:
                self._show(one)
            if not found:
                self.stdout.write(f"Nothing is known of {options['id']}. Name its --table to look for it there.")
        return CLEAN if any(one.now.place == "table" for one in found) else FOUND

    def _show(self, found: Whereabouts) -> None:
        for step in found.steps:
            self.stdout.write(f"{found.table} {step.pk}: {_words(step)}")


def _words(step: Step) -> str:
    return {
        "table": "in the table",
        "quarantine": f"in quarantine since run {step.run} ({step.reason})",
        "purged": f"removed by run {step.run}, purged",
        "nowhere": "not in the table, and no run has removed it",
    }[step.place]


def _table_of(label: str) -> str:
    try:
        return str(apps.get_model(label)._meta.db_table)
    except (LookupError, ValueError) as error:
        raise failure(f"There is no model {label!r} ({error}). Write it as app_label.Model.") from None
