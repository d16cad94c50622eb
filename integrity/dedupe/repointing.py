"""Repoint references to survivors, and fill survivors' fields: a stage's new values, the old ones kept for undo."""

from __future__ import annotations

from dataclasses import dataclass

from integrity.backends.rows import Rows, in_span
from integrity.backends.sql import SQL, coalesce, columns, compose, identifier, joined, numbered, on
from integrity.dedupe.quarantine import FILLED, REPOINTED
from integrity.dedupe.sides import SideTables
from integrity.dedupe.spans import Span
from integrity.dedupe.stages import Stage


@dataclass(frozen=True, kw_only=True)
class Repointer:
    """Writes what the stages of one plan say, for one run, inside the caller's transaction."""

    run: int
    refusals: str
    sides: SideTables
    triggered: frozenset[str]
    """Tables whose triggers may make another value of what is written."""
    rows: Rows

    def repoint(self, stage: Stage, span: Span) -> int:
        """Write the new values of the span's units that are not refused; return how many rows then have them."""
        values: dict[str, list[str]] = {}
        for reference in stage.references:
            for column, new in zip(reference.columns, reference.new, strict=True):
                values.setdefault(column, []).append(new)
        for column, news in values.items():
            self._note_changes(stage, column, news, span)
        moved = self.rows.execute(
            compose(
                "UPDATE {table} AS t SET {values} FROM {stage} AS r "
                "WHERE {same} AND r.action = 'repoint' AND {in_span}",
                table=stage.table,
                stage=stage.name,
                values=joined(
                    ", ",
                    (
                        f"{identifier(column)} = " + coalesce(*(f"r.{new}" for new in news), f"t.{identifier(column)}")
                        for column, news in values.items()
                    ),
                ),
                same=on("t", stage.pk, "r", stage.p),
                in_span=in_span(self.refusals),
            ),
            span,
        )
        if stage.table in self.triggered:
            moved -= sum(self._made_otherwise(stage, column, span) for column in values)
        return moved

    def _made_otherwise(self, stage: Stage, column: str, span: Span) -> int:
        """How many rows have another value now than was written just before."""
        return int(
            self.rows.value(
                compose(
                    "SELECT COUNT(*) FROM {changes} AS c JOIN {table} AS t ON {same} WHERE c.integrity_run = %s "
                    "AND c.integrity_unit > %s AND c.integrity_unit <= %s AND t.{column} {differs} c.new",
                    changes=self._changes_of(stage, column),
                    table=stage.table,
                    same=on("t", stage.pk, "c", numbered("pk", len(stage.pk))),
                    column=column,
                    differs=SQL(self.rows.differs),
                ),
                (self.run, *span),
            )
        )

    def _changes_of(self, stage: Stage, column: str) -> str:
        return self.sides.changes[(stage.table, column, FILLED if stage.fills else REPOINTED)]

    def _note_changes(self, stage: Stage, column: str, news: list[str], span: Span) -> None:
        new = coalesce(*(f"r.{n}" for n in news))
        after = joined(", ", (self._key_after(stage, own, p) for own, p in zip(stage.pk, stage.p, strict=True)))
        self.rows.execute(
            compose(
                """
                INSERT INTO {changes} ({pk}, integrity_run, integrity_unit, integrity_group, old, new, integrity_at)
                SELECT {after}, {run}, r.unit, r.grp, t.{column}, {new}, CURRENT_TIMESTAMP
                FROM {table} AS t JOIN {stage} AS r ON {same}
                WHERE r.action = 'repoint' AND {new} IS NOT NULL AND {in_span}
                """,
                changes=self._changes_of(stage, column),
                pk=columns(numbered("pk", len(stage.pk))),
                after=after,
                run=SQL(str(int(self.run))),
                column=column,
                new=new,
                table=stage.table,
                stage=stage.name,
                same=on("t", stage.pk, "r", stage.p),
                in_span=in_span(self.refusals),
            ),
            span,
        )

    def _key_after(self, stage: Stage, own: str, p: str) -> SQL:
        """A primary key that is itself a reference changes with it; the books speak of the row as it is after."""
        news = [n for r in stage.references for c, n in zip(r.columns, r.new, strict=True) if c == own]
        return coalesce(*(f"r.{n}" for n in news), f"r.{p}")
