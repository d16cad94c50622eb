"""Before a span is resolved: lock what it touches, and refuse every unit that is not as it was when planned."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from integrity.backends.rows import Rows, in_span
from integrity.backends.sql import SQL, columns, compose, identifier, joined, on
from integrity.dedupe.maps import key_changes
from integrity.dedupe.pointing import points_at_staged
from integrity.dedupe.spans import Span
from integrity.dedupe.stages import Stage, StagedReference
from integrity.dedupe.target import Target


@dataclass(frozen=True, kw_only=True)
class Recheck:
    """Compares the stages of a plan with the rows as they are now."""

    target: Target
    root: Stage
    children: tuple[Stage, ...]
    """Every stage of rows that reference others, those without rows included: such rows may have come since."""
    staged: tuple[Stage, ...]
    """The stages that hold rows, the root first."""
    rows: Rows
    refusals: str
    apart_from: int | None
    """Units beyond this one are rows of large groups that go one by one; None: there are none."""
    indexed_key: bool

    def check(self, span: Span, *, here: Collection[str]) -> bool:
        """Lock what the span touches, and refuse every unit that is not as it was when it was planned.

        ``here`` names the stages, beside the root, that hold rows of the span. Returns whether the rows of the rule's
        own table lie where they were staged.
        """
        staged = tuple(stage for stage in self.staged if stage is self.root or stage.name in here)
        in_place = self.rows.lock_in_place(
            table=self.root.table, stage=self.root.name, pk=self.root.pk, refusals=self.refusals, span=span
        )
        for stage in staged[1:] if in_place else staged:
            self.rows.lock_and_compare(
                table=stage.table,
                stage=stage.name,
                pk=stage.pk,
                changed=self._changed(stage),
                refusals=self.refusals,
                span=span,
            )
        if self.apart_from is not None and span[1] > self.apart_from:
            self._refuse_without_survivor(span)
        for stage in (s for s in staged if not s.fills):
            for other in self.children:
                self._refuse_unplanned_references(stage, other, span)
        if self.indexed_key:
            self.refuse_joined(span)
        return in_place

    def refuse_joined(self, span: Span) -> None:
        """Refuse units whose key has more rows now than were planned, those that are gone or changed not counted."""
        keys = self.target.keys()
        k = tuple(f"k{n}" for n in range(1, len(self.target.key.expressions) + 1))
        same = "=" if self.target.key.nulls_distinct else self.rows.same
        refused = self.rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT r.unit, r.grp, 'joined' FROM {root} AS r JOIN ({keys}) AS i ON {same_key}
                WHERE r.pos = 1 AND {in_span} GROUP BY r.unit, r.grp, r.members HAVING COUNT(*) > r.members
                """,
                refusals=self.refusals,
                root=self.root.name,
                keys=keys.sql,
                same_key=on("i", k, "r", k, same=same),  # the table's side first: SQLite compares by its collation
                in_span=in_span(self.refusals),
            ),
            (*keys.params, *span),
        )
        if refused and self.apart_from is not None:
            self._refuse_the_rows_of_joined(span)

    def _refuse_the_rows_of_joined(self, span: Span) -> None:
        """Refuse the rows that go one by one, too, of groups that were refused whole."""
        self.rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT r.unit, r.grp, f.reason FROM {refusals} AS f JOIN {root} AS r ON r.grp = f.grp AND r.unit > r.grp
                WHERE f.reason = 'joined' AND f.unit > %s AND f.unit <= %s AND f.unit <= f.grp
                """,
                refusals=self.refusals,
                root=self.root.name,
            ),
            span,
        )

    def _refuse_without_survivor(self, span: Span) -> None:
        """Refuse rows that go one by one and whose survivor is not as it was; hold the others' survivors.

        The lock is one that other batches can take beside this one.
        """
        self.rows.execute(
            compose(
                """
                WITH held AS (
                    SELECT {w_s}, {fp} <> w.survivor_fp AS changed FROM {table} AS t JOIN (
                        SELECT DISTINCT {r_s}, r.survivor_fp FROM {root} AS r WHERE r.unit > r.grp AND {in_span}
                    ) AS w ON {is_survivor}
                    ORDER BY {t_pk} {sharing}
                )
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT r.unit, r.grp, CASE WHEN {keyless} THEN 'keyless' WHEN h.changed THEN 'changed'
                       WHEN EXISTS (SELECT 1 FROM {table} AS w WHERE {is_there}) THEN 'busy' ELSE 'gone' END
                FROM {root} AS r LEFT JOIN held AS h ON {is_held}
                WHERE r.unit > r.grp AND {in_span} AND (h.{s1} IS NULL OR h.changed)
                """,
                w_s=columns(self.root.s, of="w"),
                r_s=columns(self.root.s, of="r"),
                fp=self.rows.fingerprint(self.root.table, self.root.columns, alias="t"),
                table=self.root.table,
                root=self.root.name,
                in_span=in_span(self.refusals),
                is_survivor=on("t", self.root.pk, "w", self.root.s),
                t_pk=columns(self.root.pk, of="t"),
                sharing=self.rows.sharing,
                refusals=self.refusals,
                is_there=on("w", self.root.pk, "r", self.root.s),
                is_held=on("h", self.root.s, "r", self.root.s),
                keyless=joined(" OR ", (compose("r.{s}", s=s) + " IS NULL" for s in self.root.s)),
                s1=self.root.s[0],
            ),
            (*span, *span),
        )

    def _changed(self, stage: Stage) -> SQL:
        """Condition on ``t`` (the row now) and ``r`` (its stage): it is not as planned."""
        edited = compose("{fp} <> r.fp", fp=self.rows.fingerprint(stage.table, stage.columns, alias="t"))
        if not stage.references:
            return edited
        moved = joined(
            " OR ",
            (
                # The stage first: its collation tells spellings apart, which the column's own may not.
                f"(r.{identifier(old)} IS NOT NULL AND r.{identifier(old)} {self.rows.differs} t.{identifier(column)})"
                for reference in stage.references
                for column, old in zip(reference.columns, reference.old, strict=True)
            ),
        )
        return compose("CASE WHEN r.action = 'remove' THEN {edited} ELSE {moved} END", edited=edited, moved=moved)

    def _refuse_unplanned_references(self, stage: Stage, other: Stage, span: Span) -> None:
        """Refuse units whose removed rows are referenced by a row that the plan does not know."""
        for query in self._references_to_removed(stage, other):
            self.rows.execute(
                compose(
                    "INSERT INTO {refusals} (unit, grp, reason) "
                    "SELECT DISTINCT unit, grp, 'referenced' FROM ({found}) AS q",
                    refusals=self.refusals,
                    found=query,
                ),
                span,
            )

    def _references_to_removed(self, stage: Stage, other: Stage) -> list[SQL]:
        """Queries of the units in which a row of ``other``'s table references a removed row of ``stage``, unplanned."""
        return [
            compose(
                """
                SELECT r.unit, r.grp FROM {stage} AS r {target}
                JOIN {other_table} AS c ON {points} LEFT JOIN {other} AS o ON {is_planned}
                WHERE {goes} AND {in_span} AND o.{p1} IS NULL {stays}
                """,
                stage=stage.name,
                goes=_goes(stage, reference),
                target=_target_of(reference, stage),
                other=other.name,
                other_table=other.table,
                points=points_at_staged(reference, stage, self.rows),
                is_planned=_is_planned(reference, other),
                stays=self._stays(other),
                p1=other.p[0],
                in_span=in_span(self.refusals),
            )
            for reference in other.references
            if reference.target_table == stage.table and (not reference.inside or stage is self.root)
        ]

    def _stays(self, other: Stage) -> SQL:
        """Condition: no other stage of its table lets the row ``c`` go along with ``r``; one that goes counts not."""
        same_table = (s for s in self.staged if s.table == other.table and s is not other and not s.fills)
        return joined(
            "",
            (
                compose(
                    " AND NOT EXISTS (SELECT 1 FROM {own} AS own "
                    "WHERE own.action = 'remove' AND own.unit = r.unit AND {same})",
                    own=stage.name,
                    same=on("own", stage.p, "c", other.pk),
                )
                for stage in same_table
            ),
        )


def _target_of(reference: StagedReference, stage: Stage) -> SQL:
    """A join to the removed row itself, where the reference does not hold its primary key."""
    if reference.inside or reference.target_columns == stage.pk:
        return SQL("")
    return compose("JOIN {table} AS t ON {same}", table=stage.table, same=on("t", stage.pk, "r", stage.p))


def _is_planned(reference: StagedReference, other: Stage) -> SQL:
    """Condition: ``o`` is the stage of ``c``, and knew it to hold what it holds now."""
    same_row = on("o", other.p, "c", other.pk)
    if reference.inside:
        return same_row
    return joined(" AND ", (same_row, on("o", reference.old, "c", reference.columns)))


def _goes(stage: Stage, reference: StagedReference) -> SQL:
    """Condition: the staged row ``r`` goes, or gets another key than the reference knows it by."""
    changes = key_changes(stage, reference.target_columns)
    moved = joined("", (compose(" OR r.{new} IS NOT NULL", new=new) for new in changes))
    return SQL(f"(r.action = 'remove'{moved})")
