"""Resolve a span of groups in one transaction: re-check, remove colliding children, repoint, remove, verify.

The steps, each announced by ``signals.batch_step``: ``locked`` (rows locked and compared with the plan; units
that differ are refused), ``children`` (references moved away from redundant rows), ``removed`` (redundant rows in
quarantine), ``verified`` (nothing references them, counts add up). What a step finds wrong raises, and the
transaction takes everything back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.apps.registry import Apps

from integrity.backends import get_rows
from integrity.backends.rows import Rows, in_span
from integrity.backends.sql import SQL, coalesce, compose, identifier, joined, on
from integrity.dedupe.maps import key_changes
from integrity.dedupe.pointing import points_at
from integrity.dedupe.quarantine import FILLED, REPOINTED, changes_of, quarantine_of
from integrity.dedupe.refusals import refusals_of
from integrity.dedupe.stages import Stage, StagedReference, application_order
from integrity.dedupe.target import Target
from integrity.exceptions import IntegrityAppError
from integrity.signals import batch_step

Span = tuple[int, int]
"""Units from (excluding the first, including the last)."""


class VerificationFailed(IntegrityAppError):
    """What a batch did is not what its plan says; the batch was rolled back."""


@dataclass(frozen=True, kw_only=True)
class SideTables:
    """Where the removed rows and the changed values of a run go; made before its first batch."""

    quarantine: dict[str, str]
    """By table."""
    changes: dict[tuple[str, str, str], str]
    """By table, column and kind: references that moved, or fields that were filled."""

    @classmethod
    def prepare(cls, root: Stage, stages: tuple[Stage, ...], *, apps: Apps, using: str) -> SideTables:
        """Make what is missing of them."""
        tables = {stage.table for stage in (root, *stages)}
        changing = {
            (s.table, c, FILLED if s.fills else REPOINTED) for s in stages for r in s.references for c in r.columns
        }
        return cls(
            quarantine={table: quarantine_of(table, apps=apps, using=using) for table in sorted(tables)},
            changes={
                (table, column, kind): changes_of(table, column, kind=kind, apps=apps, using=using)
                for table, column, kind in sorted(changing)
            },
        )


class Resolver:
    """Applies the stages of one plan, span by span, for one run."""

    def __init__(
        self,
        *,
        run: int,
        target: Target,
        root: Stage,
        stages: tuple[Stage, ...],
        sides: SideTables,
        indexed_key: bool,
    ) -> None:
        self.run = run
        self.target = target
        order = application_order(root, stages)
        self.root, self.others = root, order[: order.index(root)]
        self.fills = order[order.index(root) + 1 :]
        """Stages that fill fields of survivors, when the redundant rows are gone."""
        self.sides = sides
        self.indexed_key = indexed_key
        self.refusals = refusals_of(root)
        self.rows: Rows = get_rows(using=target.using)
        self.touched = tuple(stage for stage in self.others if self._holds_rows(stage))
        """Stages of other tables in which anything is to be done: most batches of most runs find none."""

    def resolve(self, span: Span) -> Counter[str]:
        """Treat the units of a span inside the caller's transaction; return what was done, by word.

        Locks the rows of the span, in primary-key order and without waiting. Units with a row that is locked by
        someone else, or is not as planned, are refused and left as they are.

        Raises:
            VerificationFailed: the outcome is not what the plan says.
        """
        self._recheck(span)
        self._announce("locked")
        done: Counter[str] = Counter()
        for stage in self.touched:
            done["collisions"] += self._remove(stage, span)
            done["repointed"] += self._repoint(stage, span)
        self._announce("children")
        done["removed"] = self._remove(self.root, span)
        for stage in self.fills:
            done["filled"] += self._repoint(stage, span)
        self._note_survivors(span)
        self._announce("removed")
        self._check_nothing_dangles(span)
        self.rows.check_constraints_now()
        self._announce("verified")
        return done

    def _holds_rows(self, stage: Stage) -> bool:
        return bool(self.rows.fetch(compose("SELECT 1 FROM {stage} LIMIT 1", stage=stage.name)))

    def _announce(self, step: str) -> None:
        batch_step.send(sender=Resolver, using=self.target.using, run=self.run, step=step)

    def _recheck(self, span: Span) -> None:
        """Lock what the span touches, and refuse every unit that is not as it was when it was planned."""
        for stage in (self.root, *self.touched, *self.fills):
            self.rows.lock_and_compare(
                table=stage.table,
                stage=stage.name,
                pk=stage.pk,
                changed=self._changed(stage),
                refusals=self.refusals,
                span=span,
            )
        for stage in (self.root, *self.touched):
            for other in self.others:
                self._refuse_unplanned_references(stage, other, span)
        if self.indexed_key:
            self.refuse_joined(span)

    def _changed(self, stage: Stage) -> SQL:
        """Condition on ``t`` (the row now) and ``r`` (its stage): it is not as planned."""
        edited = compose("{fp} <> r.fp", fp=self.rows.fingerprint(stage.table, stage.columns, alias="t"))
        if not stage.references:
            return edited
        moved = joined(
            " OR ",
            (
                f"(r.{identifier(old)} IS NOT NULL AND t.{identifier(column)} {self.rows.differs} r.{identifier(old)})"
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
                JOIN {other_table} AS c ON {points} LEFT JOIN {other} AS o ON {is_planned} {own}
                WHERE {goes} AND {in_span} AND o.{p1} IS NULL {own_planned}
                """,
                stage=stage.name,
                goes=_goes(stage, reference),
                target=self._target_of(reference, stage),
                other=other.name,
                other_table=other.table,
                points=self._points(reference, stage),
                is_planned=self._is_planned(reference, other),
                own=self._own_plan(other, join=True),
                own_planned=self._own_plan(other, join=False),
                p1=other.p[0],
                in_span=in_span(self.refusals),
            )
            for reference in other.references
            if reference.target_table == stage.table and (not reference.inside or stage is self.root)
        ]

    def _target_of(self, reference: StagedReference, stage: Stage) -> SQL:
        """A join to the removed row itself, where the reference does not hold its primary key."""
        if reference.inside or reference.target_columns == stage.pk:
            return SQL("")
        return compose("JOIN {table} AS t ON {same}", table=stage.table, same=on("t", stage.pk, "r", stage.p))

    def _points(self, reference: StagedReference, stage: Stage) -> SQL:
        """Condition: ``c`` references the removed row ``r`` (or ``t``, see ``_target_of``)."""
        if reference.inside:
            return self.rows.holds(
                SQL("c"), reference.columns[0], inside=reference.inside, path=reference.path, value=SQL("r.p1")
            )
        if reference.target_columns == stage.pk:
            return points_at(reference, "r", stage.p, self.rows)
        return points_at(reference, "t", reference.target_columns, self.rows)

    def _is_planned(self, reference: StagedReference, other: Stage) -> SQL:
        """Condition: ``o`` is the stage of ``c``, and knew it to hold what it holds now."""
        same_row = on("o", other.p, "c", other.pk)
        if reference.inside:
            return same_row
        return joined(" AND ", (same_row, on("o", reference.old, "c", reference.columns)))

    def _own_plan(self, other: Stage, *, join: bool) -> SQL:
        """In a table that references itself, a row that is itself removed does not count as a reference."""
        if other.table != self.root.table:
            return SQL("")
        if not join:
            return compose("AND own.{p1} IS NULL", p1=self.root.p[0])
        return compose(
            "LEFT JOIN {root} AS own ON {same} AND own.action = 'remove'",
            root=self.root.name,
            same=on("own", self.root.p, "c", other.pk),
        )

    def refuse_joined(self, span: Span) -> None:
        """Refuse units whose key has more rows now than were planned."""
        keyed = self.target.keyed_rows()
        k = tuple(f"k{n}" for n in range(1, len(self.target.key.expressions) + 1))
        same = "=" if self.target.key.nulls_distinct else self.rows.same
        self.rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT DISTINCT r.unit, r.grp, 'joined'
                FROM {root} AS r JOIN ({keyed}) AS i ON {same_key} LEFT JOIN {root} AS o ON {same_row}
                WHERE r.pos = 1 AND o.{p1} IS NULL AND {in_span}
                """,
                refusals=self.refusals,
                root=self.root.name,
                keyed=keyed.sql,
                same_key=on("r", k, "i", k, same=same),
                same_row=on("o", self.root.p, "i", self.root.p),
                p1=self.root.p[0],
                in_span=in_span(self.refusals),
            ),
            (*keyed.params, *span),
        )

    def _remove(self, stage: Stage, span: Span) -> int:
        """Move a stage's rows that are to be removed into quarantine, and see that all of them went."""
        moved = self.rows.move(
            table=stage.table,
            pk=stage.pk,
            stage=stage.name,
            names=stage.columns,
            into=self.sides.quarantine[stage.table],
            extra={
                "integrity_run": SQL(str(int(self.run))),
                "integrity_unit": SQL("r.unit"),
                "integrity_group": SQL("r.grp"),
                "integrity_reason": SQL("r.kind"),
                **{f"integrity_survivor_{n}": SQL(f"r.{s}") for n, s in enumerate(stage.s, 1)},
                # Compared under lock, and not changed since; see also _note_survivors.
                "integrity_survivor_fp": SQL("r.survivor_fp" if stage is self.root else "CAST(NULL AS bigint)"),
                "integrity_at": SQL("CURRENT_TIMESTAMP"),
            },
            span=span,
            refusals=self.refusals,
        )
        self._expect(moved, self._planned(stage, "remove", span), f"rows removed from {stage.table}")
        return moved

    def _note_survivors(self, span: Span) -> None:
        """Where a batch changes rows of its own table, keep the survivors' fingerprints as they are afterwards."""
        if all(stage.table != self.root.table for stage in (*self.touched, *self.fills)):
            return
        self.rows.execute(
            compose(
                """
                UPDATE {quarantine} SET integrity_survivor_fp = {fp} FROM {table} AS v
                WHERE {same} AND {quarantine}.integrity_run = %s
                  AND {quarantine}.integrity_unit > %s AND {quarantine}.integrity_unit <= %s
                """,
                quarantine=self.sides.quarantine[self.root.table],
                fp=self.rows.fingerprint(self.root.table, self.root.columns, alias="v"),
                table=self.root.table,
                same=on(
                    "v",
                    self.root.pk,
                    self.sides.quarantine[self.root.table],
                    tuple(f"integrity_survivor_{n}" for n in range(1, len(self.root.pk) + 1)),
                ),
            ),
            (self.run, *span),
        )

    def _repoint(self, stage: Stage, span: Span) -> int:
        """Move a stage's references to the survivors, keeping the old values."""
        values: dict[str, list[str]] = {}
        for reference in stage.references:
            for column, new in zip(reference.columns, reference.new, strict=True):
                values.setdefault(column, []).append(new)
        for column, news in values.items():
            self._note_changes(stage, column, news, span)
        moved = self.rows.execute(
            compose(
                "UPDATE {table} SET {values} FROM {stage} AS r WHERE {same} AND r.action = 'repoint' AND {in_span}",
                table=stage.table,
                stage=stage.name,
                values=joined(
                    ", ",
                    (
                        f"{identifier(column)} = "
                        + coalesce(*(f"r.{new}" for new in news), f"{identifier(stage.table)}.{identifier(column)}")
                        for column, news in values.items()
                    ),
                ),
                same=on(stage.table, stage.pk, "r", stage.p),
                in_span=in_span(self.refusals),
            ),
            span,
        )
        self._expect(moved, self._planned(stage, "repoint", span), f"references of {stage.table} moved")
        return moved

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
                changes=self.sides.changes[(stage.table, column, FILLED if stage.fills else REPOINTED)],
                pk=SQL(", ".join(f"pk{n}" for n in range(1, len(stage.pk) + 1))),
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

    def _planned(self, stage: Stage, action: str, span: Span) -> int:
        return int(
            self.rows.value(
                compose(
                    "SELECT COUNT(*) FROM {stage} AS r WHERE r.action = %s AND {in_span}",
                    stage=stage.name,
                    in_span=in_span(self.refusals),
                ),
                (action, *span),
            )
        )

    def _expect(self, done: int, planned: int, what: str) -> None:
        if done != planned:
            raise VerificationFailed(
                f"{what}: {done}, but the plan says {planned}. The batch was rolled back; nothing of it remains. "
                "A trigger or a rule on the table may be changing what the statements do."
            )

    def _check_nothing_dangles(self, span: Span) -> None:
        for other in self.touched:
            for reference in other.references:
                for stage in (self.root, *self.touched):
                    if reference.target_table == stage.table and reference.target_columns == stage.pk:
                        self._check_none_left(reference, other, stage, span)

    def _check_none_left(self, reference: StagedReference, other: Stage, stage: Stage, span: Span) -> None:
        left = self.rows.value(
            compose(
                "SELECT COUNT(*) FROM {stage} AS r JOIN {table} AS c ON {points} "
                "WHERE r.action = 'remove' AND {in_span}",
                stage=stage.name,
                table=other.table,
                points=self._points(reference, stage),
                in_span=in_span(self.refusals),
            ),
            span,
        )
        self._expect(int(left), 0, f"rows of {other.table} that reference removed rows of {stage.table}")


def _goes(stage: Stage, reference: StagedReference) -> SQL:
    """Condition: the staged row ``r`` goes, or gets another key than the reference knows it by."""
    changes = key_changes(stage, reference.target_columns)
    moved = joined("", (compose(" OR r.{new} IS NOT NULL", new=new) for new in changes))
    return SQL(f"(r.action = 'remove'{moved})")
