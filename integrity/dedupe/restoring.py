"""Bring one span of units back: rows to their tables, references to where they pointed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from integrity.backends import Rows
from integrity.backends.sql import SQL, compose, on
from integrity.dedupe.kept import Kept, any_of
from integrity.dedupe.oldvalues import OldValues, Unlike, require_all
from integrity.dedupe.spans import Span
from integrity.dedupe.undochecks import UndoChecks


@dataclass(frozen=True, kw_only=True)
class Restorer:
    """Restores what a run kept, inside the caller's transaction."""

    run: int
    tables: tuple[str, ...]
    """The rule's own table first, then the tables that reference it, and those that reference them."""
    rows_first: frozenset[str]
    """Tables that reference themselves, whose rows must be there before anything points at them."""
    turns: dict[str, tuple[str, ...]]
    """At the turn of each table the tables whose references go back then, in this order."""
    checks: UndoChecks
    rows: Rows

    def restore(self, span: Span) -> Counter[str]:
        """Restore a span of units and forget what was kept of it; count what was restored and repointed.

        Raises:
            VerificationFailed: other rows came back than were kept.
            Unlike: a value would come back as another one.
        """
        done: Counter[str] = Counter()
        self._values.give_back([kept for kept in self.checks.fills if not kept.blocked], span)
        self.rows.defer_constraints()
        for table in self.tables:
            # Where a table references itself, the row to point back at may be one that comes back.
            last = [table] if table in self.rows_first and table in self.turns[table] else []
            for other in self.turns[table]:
                if other not in last:
                    done["repointed"] += self._values.give_back(self._changes_of(other), span)
            for kept in self.checks.quarantines:
                if kept.table == table and not kept.blocked:
                    done["restored"] += self._put_back(kept, span)
            for other in last:
                done["repointed"] += self._values.give_back(self._changes_of(other), span)
        for kept in self.checks.all:
            if not kept.blocked:
                self._forget(kept, span)
        self.rows.check_constraints_now()
        return done

    def planned(self, span: Span) -> Counter[str]:
        """What ``restore`` would count."""
        return Counter(
            restored=sum(self._count(kept, span) for kept in self.checks.quarantines),
            repointed=sum(self._values.count(self._changes_of(table), span) for table in self.tables),
        )

    @property
    def _values(self) -> OldValues:
        return OldValues(run=self.run, checks=self.checks, rows=self.rows)

    def _changes_of(self, table: str) -> list[Kept]:
        return [kept for kept in self.checks.changes if kept.table == table and not kept.blocked]

    def _put_back(self, kept: Kept, span: Span) -> int:
        restored = self.rows.restore(
            table=kept.table,
            names=kept.names,
            source=kept.name,
            condition=self.checks.of_span("q"),
            params=(self.run, *span),
            fallbacks=kept.fallbacks,
        )
        for name in kept.retyped:
            differ = compose("t.{column} {differs} q.{column}", column=name, differs=SQL(self.rows.differs))
            if self._any_came_back(kept, span, differ):
                raise Unlike(f"column {name} of {kept.table} has another type now, and a value does not fit into it")
        # A default may have come for a NULL.
        names = [name for name in kept.names if name not in kept.retyped and name not in kept.fallbacks]
        before, after = (self.rows.fingerprint(kept.table, names, alias=alias) for alias in "qt")
        if self._any_came_back(kept, span, compose("{after} <> {before}", after=after, before=before)):
            raise Unlike(f"a trigger of {kept.table} changes its row while it comes back; disable it for the undo")
        return require_all(kept, restored, self._count(kept, span))

    def _any_came_back(self, kept: Kept, span: Span, otherwise: SQL) -> bool:
        """Whether any row, ``t``, is back otherwise than it was kept, ``q``."""
        query = compose(
            "SELECT 1 FROM {name} AS q JOIN {table} AS t ON {same} WHERE {of_span} AND {otherwise} LIMIT 1",
            name=kept.name,
            table=kept.table,
            same=on("t", kept.pk, "q", kept.pk),
            of_span=self.checks.of_span("q"),
            otherwise=otherwise,
        )
        return bool(self.rows.fetch(query, (self.run, *span)))

    def _count(self, kept: Kept, span: Span) -> int:
        """How many rows a side table holds of a span, those of refused units left out."""
        query = compose(
            "SELECT COUNT(*) FROM {name} AS q WHERE {of_span}", name=kept.name, of_span=self.checks.of_span("q")
        )
        return int(self.rows.value(query, (self.run, *span)))

    def _forget(self, kept: Kept, span: Span) -> None:
        """Delete what is back; rows with values that have no column any more stay, under a number of no run."""
        if kept.gone:
            keep = "UPDATE {name} AS q SET integrity_run = -integrity_run WHERE {of_span} AND ({has_values})"
            self.rows.execute(
                compose(keep, name=kept.name, of_span=self.checks.of_span("q"), has_values=any_of(kept.gone, "q")),
                (self.run, *span),
            )
        self.rows.execute(
            compose("DELETE FROM {name} AS q WHERE {of_span}", name=kept.name, of_span=self.checks.of_span("q")),
            (self.run, *span),
        )
