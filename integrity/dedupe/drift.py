"""Whether the tables of a plan are as they were when it was made: their columns, and what references them.

A plan may be applied a day later, by a newer release. What it does not know it would lose: the values of a column
that was added since, the rows that reference by a key that was added since.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from django.apps.registry import Apps

from integrity.backends import RememberedCatalogue, get_catalogue, get_rows
from integrity.backends.sql import compose
from integrity.dedupe.references import references_to
from integrity.dedupe.stages import Stage
from integrity.dedupe.target import Target
from integrity.exceptions import IntegrityAppError


class SchemaChanged(IntegrityAppError):
    """A table is not what the plan was made for."""


@dataclass(kw_only=True)
class SchemaWatch:
    """Looks at the tables of one plan, for one run."""

    target: Target
    root: Stage
    stages: tuple[Stage, ...]
    """Those of the referencing tables."""
    apps: Apps
    _mark: str = field(default="", init=False)

    def check(self) -> None:
        """Let nobody alter the tables until the transaction ends, and see that nobody has since the plan was made.

        Takes ROW EXCLUSIVE on the tables that lose rows, which no writer waits for.

        Raises:
            SchemaChanged: a column or a reference was added, dropped or renamed.
        """
        mark = get_rows(using=self.target.using).hold_schema(tuple(stage.table for stage in self._losing))
        if mark != self._mark:
            self._compare()
            self._mark = mark

    @cached_property
    def _losing(self) -> tuple[Stage, ...]:
        """The stages of tables that lose rows."""
        rows = get_rows(using=self.target.using)
        any_goes = "SELECT 1 FROM {stage} WHERE action = 'remove' LIMIT 1"
        return (self.root, *(s for s in self.stages if not s.fills and rows.fetch(compose(any_goes, stage=s.name))))

    def _compare(self) -> None:
        catalogue = RememberedCatalogue(get_catalogue(using=self.target.using))
        for stage in self._losing:
            now = {column.name for column in catalogue.columns(stage.table) if not column.generated}
            for name in sorted(now ^ set(stage.columns)):
                word = "gained" if name in now else "lost"
                raise SchemaChanged(_message(f"table {stage.table} has {word} column {name}"))
            known = {(s.table, r.columns) for s in self.stages for r in s.references if r.target_table == stage.table}
            for reference in references_to(
                stage.table, apps=self.apps, using=self.target.using, rule=self.target.rule, catalogue=catalogue
            ):
                if (reference.table, reference.columns) not in known:
                    raise SchemaChanged(_message(f"{reference.label} references {stage.table}"))


def _message(what: str) -> str:
    return f"Since the plan was made, {what}, of which it knows nothing. Make a new plan."
