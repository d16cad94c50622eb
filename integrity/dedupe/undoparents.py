"""Rows that a run removed and that point at rows which a later run has removed: that one must be undone first.

The database refuses such a row only where it knows of the reference, and only when the row is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps.registry import Apps

from integrity.backends import RememberedCatalogue, Rows, get_catalogue, get_rows
from integrity.backends.sql import SQL, compose
from integrity.dedupe.books import book
from integrity.dedupe.pointing import points_at
from integrity.dedupe.quarantine import is_like_its_table
from integrity.dedupe.references import Reference, references_to


@dataclass(frozen=True, kw_only=True)
class RemovedParents:
    """A quarantine with rows of a run, and another one with rows of later runs that they may point at."""

    children: str
    reference: Reference
    parents: str
    rows: Rows

    def refuse(self, *, refusals: str, of_span: SQL) -> SQL:
        """The statement that refuses the units in sight whose rows, ``c``, point at what is not there.

        Its parameters are the reason's beginning and those of ``of_span``.
        """
        columns = self.reference.target_columns
        return compose(
            """
            INSERT INTO {refusals} (unit, grp, reason)
            SELECT c.integrity_unit, c.integrity_group,
                   CAST(%s AS text) || CAST(MAX(l.integrity_run) AS text) || ' has removed since; undo that first'
            FROM {children} AS c JOIN {parents} AS l ON {was_parent} AND l.integrity_run > c.integrity_run
            WHERE {of_span} AND NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {is_parent})
            GROUP BY c.integrity_unit, c.integrity_group
            """,
            refusals=refusals,
            children=self.children,
            parents=self.parents,
            was_parent=points_at(self.reference, "l", columns, self.rows),
            of_span=of_span,
            table=self.reference.target_table,
            is_parent=points_at(self.reference, "t", columns, self.rows),
        )

    @property
    def reason(self) -> str:
        """The beginning of the reason, up to the later run's number."""
        return f"a removed row of {self.reference.table} refers to one that run "


def removed_parents(run: int, tables: Collection[str], *, apps: Apps, using: str) -> Iterator[RemovedParents]:
    """Yield where rows of these tables that a run removed may point at what later runs have removed.

    Tables whose columns are others by now are left out, and quarantines that are gone: what comes back then is for the
    database to judge.
    """
    catalogue, rows = RememberedCatalogue(get_catalogue(using=using)), get_rows(using=using)
    kept = book("SideTable", apps=apps, using=using).filter(kind="quarantine").order_by("name")
    current = [side for side in kept if catalogue.columns(side.name) and is_like_its_table(side, using=using)]
    children = [side for side in current if side.table in tables and _holds(side, "=", run, using=using)]
    for parents in (side for side in current if _holds(side, ">", run, using=using)):
        for reference in references_to(parents.table, apps=apps, using=using, catalogue=catalogue):
            for side in children:
                if side.table == reference.table:
                    yield RemovedParents(children=side.name, reference=reference, parents=parents.name, rows=rows)


def _holds(side: Any, compared: str, run: int, *, using: str) -> bool:
    query = compose("SELECT 1 FROM {name} WHERE integrity_run {how} %s LIMIT 1", name=side.name, how=SQL(compared))
    return bool(get_rows(using=using).fetch(query, (run,)))
