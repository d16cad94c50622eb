"""What stands in the way of an undo: units that would not come back as they were, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.apps.registry import Apps

from integrity.backends import Index, get_catalogue
from integrity.backends.rows import Rows
from integrity.backends.sql import NOTHING, SQL, catalogued, columns, compose, identifier, joined, numbered, on
from integrity.dedupe.kept import Kept
from integrity.dedupe.quarantine import FILLED, REPOINTED, side_tables_of, survivor_columns
from integrity.dedupe.spans import Span
from integrity.dedupe.undoorphans import LostParents
from integrity.dedupe.undoparents import RemovedParents
from integrity.dedupe.undorefusals import UndoRefusals, in_words


@dataclass(frozen=True, kw_only=True)
class UndoChecks:
    """Notes in ``refusals`` which units of a run cannot go back."""

    run: int
    refusals: UndoRefusals
    root_table: str
    quarantines: tuple[Kept, ...]
    changes: tuple[Kept, ...]
    fills: tuple[Kept, ...]
    later_runs: bool
    """Whether there were runs after this one that may have changed the same rows."""
    parents: tuple[RemovedParents | LostParents, ...]
    """What rows of this one may point at, and is not there."""
    rows: Rows
    apps: Apps
    using: str

    @property
    def all(self) -> tuple[Kept, ...]:
        """All side tables that hold anything of the run."""
        return (*self.quarantines, *self.changes, *self.fills)

    def refuse(self, span: Span) -> None:
        """Find the units of a span that cannot go back, and note why."""
        for kept in self.all:
            if kept.blocked:
                self._refuse_all(kept, span)
        if self.later_runs:
            self._refuse_touched_later(span)
        for kept in self.quarantines:
            if kept.blocked:
                continue
            self._refuse_taken_ids(kept, span)
            for index in self._foreseeable(kept):
                self._refuse_duplicates(kept, index, span)
            if kept.table == self.root_table and kept.whole:
                self._refuse_edited_survivors(kept, span)
        for kept in (*self.changes, *self.fills):
            if not kept.blocked:
                self._refuse_edited_references(kept, span)
        for parents in self.parents:
            refuse = parents.refuse(refusals=self.refusals.name, of_span=self.of_span("c"))
            self.rows.execute(refuse, (parents.reason, self.run, *span))

    def of_span(self, alias: str) -> SQL:
        return compose(
            "{q}.integrity_run = %s AND {q}.integrity_unit > %s AND {q}.integrity_unit <= %s "
            "AND NOT EXISTS (SELECT 1 FROM {refusals} AS f WHERE f.unit = {q}.integrity_unit)",
            q=alias,
            refusals=self.refusals.name,
        )

    def _refuse_all(self, kept: Kept, span: Span) -> None:
        self.rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT DISTINCT q.integrity_unit, q.integrity_group, %s FROM {name} AS q WHERE {of_span}
                """,
                refusals=self.refusals.name,
                name=kept.name,
                of_span=self.of_span("q"),
            ),
            (kept.blocked, self.run, *span),
        )

    def _refuse_touched_later(self, span: Span) -> None:
        """Refuse units whose survivors or references a later run has removed or changed: it must be undone first."""
        for kept in self.all:
            if kept.blocked:
                continue
            survivors = survivor_columns(len(kept.pk))
            rows = kept.change_pk if kept.column else survivors
            for side in side_tables_of(kept.table, kind="quarantine", apps=self.apps, using=self.using):
                self._refuse_later(kept, span, rows, side.name, kept.pk)
                if kept.column:  # it would change a survivor, and that run could not be undone any more
                    self._refuse_later(
                        kept, span, rows, side.name, survivors, "AND l.integrity_survivor_fp IS NOT NULL"
                    )
            compared = kept.column or kept.table == self.root_table  # of the rule's own table, survivors are as a whole
            for kind in (REPOINTED, FILLED) if compared else ():
                for side in side_tables_of(kept.table, kind=kind, apps=self.apps, using=self.using):
                    if kept.column in ("", side.columns[-1][0]):
                        self._refuse_later(kept, span, rows, side.name, kept.change_pk)

    def _refuse_later(
        self, kept: Kept, span: Span, own: Sequence[str], side: str, theirs: Sequence[str], where: str = ""
    ) -> None:
        self.rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT q.integrity_unit, q.integrity_group,
                       'run ' || CAST(MAX(l.integrity_run) AS text) || ' has changed the same rows since; undo it first'
                FROM {name} AS q JOIN {side} AS l ON {same} AND l.integrity_run > q.integrity_run
                WHERE {of_span} {where} GROUP BY q.integrity_unit, q.integrity_group
                """,
                refusals=self.refusals.name,
                name=kept.name,
                side=side,
                same=on("q", own, "l", theirs),
                of_span=self.of_span("q"),
                where=SQL(where),
            ),
            (self.run, *span),
        )

    def _refuse_taken_ids(self, kept: Kept, span: Span) -> None:
        self.rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason, pk)
                SELECT DISTINCT q.integrity_unit, q.integrity_group, %s, {pk}
                FROM {name} AS q JOIN {table} AS t ON {same} WHERE {of_span} {going_back}
                """,
                refusals=self.refusals.name,
                pk=in_words("q", kept.pk),
                name=kept.name,
                table=kept.table,
                same=on("q", kept.pk, "t", kept.pk),
                of_span=self.of_span("q"),
                going_back=self._going_back(kept, kept.pk),
            ),
            ("a row with the same primary key is there again", self.run, *span),
        )

    def _foreseeable(self, kept: Kept) -> Iterator[Index]:
        """The unique indexes that can be asked about the rows in quarantine; the database itself judges the others."""
        catalogue = get_catalogue(using=self.using)
        whole = {column.name for column in catalogue.columns(kept.table)} <= set(kept.names)
        for index in catalogue.indexes(kept.table):
            plain = index.predicate is None and set(index.columns) <= set(kept.names)
            if index.unique and index.valid and not index.primary and (plain or whole):
                yield index

    def _refuse_duplicates(self, kept: Kept, index: Index, span: Span) -> None:
        """Refuse rows whose key is held by another row now, unless that one itself gets another key by going back."""
        k = numbered("integrity_k", len(index.keys))
        keys = joined(", ", (f"{catalogued(key)} AS {name}" for key, name in zip(index.keys, k, strict=True)))
        where = compose("WHERE ({predicate})", predicate=catalogued(index.predicate)) if index.predicate else NOTHING
        kind = "constraint" if index.constraint else "index"
        reason = (
            f"unique {kind} {index.name} of {kept.table} is in place; "
            "lift it first (reverse the migration that added it; drop it if none did), then undo"
        )
        self.rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason, pk)
                SELECT DISTINCT q.integrity_unit, q.integrity_group, %s, {holder}
                FROM (SELECT integrity_unit, integrity_group, integrity_run, {keys} FROM {name} {where}) AS q
                JOIN (SELECT {pk}, {keys} FROM {table} {where}) AS t ON {same}
                WHERE {of_span} {going_back}
                """,
                refusals=self.refusals.name,
                holder=in_words("t", kept.pk),
                keys=keys,
                name=kept.name,
                where=where,
                pk=columns(kept.pk),
                table=kept.table,
                same=on("q", k, "t", k),
                of_span=self.of_span("q"),
                going_back=self._going_back(kept, index.columns),
            ),
            (reason, self.run, *span),
        )

    def _going_back(self, kept: Kept, key: Sequence[str | None]) -> SQL:
        """Leave out rows ``t`` whose key the undo may change: those of which the run has noted a column of the key."""
        return joined(
            "",
            (
                compose(
                    " AND NOT EXISTS (SELECT 1 FROM {changes} AS b WHERE b.integrity_run = {run} AND {same})",
                    changes=change.name,
                    run=SQL(str(int(self.run))),
                    same=on("b", change.change_pk, "t", change.pk),
                )
                for change in (*self.changes, *self.fills)
                if change.table == kept.table and (change.column in key or None in key)
            ),
        )

    def _refuse_edited_survivors(self, kept: Kept, span: Span) -> None:
        self._refuse_edited(
            kept,
            span,
            own=survivor_columns(len(kept.pk)),
            edited=compose(
                "{fp} <> q.integrity_survivor_fp", fp=self.rows.fingerprint(kept.table, kept.names, alias="t")
            ),
            reason="the survivor was changed or deleted since",
        )

    def _refuse_edited_references(self, kept: Kept, span: Span) -> None:
        self._refuse_edited(
            kept,
            span,
            own=kept.change_pk,
            edited=SQL(f"t.{identifier(kept.column)} {self.rows.differs} q.new"),
            reason=f"a row of {kept.table} that was repointed was changed or deleted since",
        )

    def _refuse_edited(self, kept: Kept, span: Span, *, own: Sequence[str], edited: SQL, reason: str) -> None:
        self.rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason, pk)
                SELECT DISTINCT q.integrity_unit, q.integrity_group, %s, {pk}
                FROM {name} AS q LEFT JOIN {table} AS t ON {same}
                WHERE {of_span} AND (t.{pk1} IS NULL OR {edited})
                """,
                refusals=self.refusals.name,
                name=kept.name,
                table=kept.table,
                pk=in_words("q", own),
                same=on("t", kept.pk, "q", own),
                of_span=self.of_span("q"),
                pk1=kept.pk[0],
                edited=edited,
            ),
            (reason, self.run, *span),
        )
