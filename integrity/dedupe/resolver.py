"""Resolve a span of groups in one transaction: re-check, remove colliding children, repoint, remove, verify.

The steps, each announced by ``signals.batch_step``: ``locked`` (rows locked and compared with the plan; units
that differ are refused), ``children`` (references moved away from redundant rows), ``removed`` (redundant rows in
quarantine), ``verified`` (nothing references them, counts add up). What a step finds wrong raises, and the
transaction takes everything back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import compress

from integrity.backends import get_catalogue, get_rows
from integrity.backends.rows import Rows, in_span
from integrity.backends.sql import SQL, compose, joined, on
from integrity.dedupe.collisions import frees_keys
from integrity.dedupe.maps import key_changes
from integrity.dedupe.pointing import points_at_staged
from integrity.dedupe.quarantine import survivor_columns
from integrity.dedupe.rechecks import Recheck
from integrity.dedupe.refusals import refusals_of
from integrity.dedupe.repointing import Repointer
from integrity.dedupe.rings import in_rings
from integrity.dedupe.sides import SideTables
from integrity.dedupe.spans import Span
from integrity.dedupe.stages import Stage, StagedReference, application_order
from integrity.dedupe.target import Target
from integrity.exceptions import IntegrityAppError
from integrity.signals import batch_step


class VerificationFailed(IntegrityAppError):
    """What a batch did is not what its plan says; the batch was rolled back."""


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
        apart_from: int | None,
        indexed_key: bool,
    ) -> None:
        self.run = run
        self.target = target
        self.root = root
        self.sides = sides
        self.refusals = refusals_of(root)
        self.rows: Rows = get_rows(using=target.using)
        order = application_order(root, stages)
        children, self.fills = order[: order.index(root)], order[order.index(root) + 1 :]
        """``fills`` are stages that fill fields of survivors, when the redundant rows are gone."""
        self.touched = tuple(stage for stage in children if self._holds_rows(stage))
        """Stages of referencing rows in which anything is to be done: most runs find none."""
        catalogue = get_catalogue(using=target.using)
        triggered = frozenset(
            stage.table for stage in (root, *self.touched, *self.fills) if catalogue.triggers(stage.table)
        )
        self.repointer = Repointer(run=run, refusals=self.refusals, sides=sides, triggered=triggered, rows=self.rows)
        self.late = frozenset(
            stage.name for stage in self.touched if stage.table == root.table and frees_keys(stage, using=target.using)
        )
        """Names of those whose rows can move only when the redundant ones are gone."""
        self.has_triggers = root.table in triggered
        self.rekeyed = any({*stage.pk} & {c for r in stage.plain for c in r.columns} for stage in self.touched)
        """Whether rows get another primary key; those that reference them move before."""
        self.ringed = any(True for _ in in_rings(root, stages, using=target.using))
        """Whether rows may go before those that reference them have moved."""
        self.recheck = Recheck(
            target=target,
            root=root,
            children=children,
            staged=(root, *self.touched, *self.fills),
            rows=self.rows,
            refusals=self.refusals,
            apart_from=apart_from,
            indexed_key=indexed_key,
        )

    def resolve(self, span: Span) -> Counter[str]:
        """Treat the units of a span inside the caller's transaction; return what was done, by word.

        Locks the rows of the span, in primary-key order and without waiting. Units with a row that is locked by
        someone else, or is not as planned, are refused and left as they are.

        Raises:
            VerificationFailed: the outcome is not what the plan says.
        """
        here = self._here(span)
        touched = [stage for stage in self.touched if stage.name in here]
        in_place = self.recheck.check(span, here=here)
        self._announce("locked")
        done: Counter[str] = Counter()
        if self.late or self.rekeyed or self.ringed:
            self.rows.defer_constraints()
        for stage in touched:
            done["collisions"] += self._remove(stage, span)
            if stage.name not in self.late:
                done["repointed"] += self._repoint(stage, span)
        self._announce("children")
        done["removed"] = self._remove(self.root, span, in_place=in_place)
        for stage in (stage for stage in touched if stage.name in self.late):
            done["repointed"] += self._repoint(stage, span)
        for stage in (stage for stage in self.fills if stage.name in here):
            done["filled"] += self._repoint(stage, span)
        self._note_survivors(span)
        self._announce("removed")
        self._check_nothing_dangles(span, (self.root, *touched))
        self.rows.check_constraints_now()
        self._announce("verified")
        return done

    def _here(self, span: Span) -> frozenset[str]:
        """Names of the stages that hold rows of a span: where many tables refer to the rows, that is few of them."""
        staged = (*self.touched, *self.fills)
        if not staged:
            return frozenset()
        holds = "EXISTS (SELECT 1 FROM {stage} WHERE unit > %s AND unit <= %s)"
        asked = joined(", ", (compose(holds, stage=stage.name) for stage in staged))
        (found,) = self.rows.fetch(SQL(f"SELECT {asked}"), span * len(staged))
        return frozenset(compress((stage.name for stage in staged), found))

    def _holds_rows(self, stage: Stage) -> bool:
        return bool(self.rows.fetch(compose("SELECT 1 FROM {stage} LIMIT 1", stage=stage.name)))

    def _announce(self, step: str) -> None:
        batch_step.send(sender=Resolver, using=self.target.using, run=self.run, step=step)

    def _remove(self, stage: Stage, span: Span, *, in_place: bool = False) -> int:
        """Move a stage's rows that are to be removed into quarantine, and see that all of them went."""
        planned = self._planned(stage, "remove", span)
        moved = self._move(stage, span, in_place=in_place) if planned else 0
        if in_place and moved < planned:  # a trigger has given some another place, in this very batch
            moved += self._move(stage, span, in_place=False)
        self._expect(moved, planned, f"rows removed from {stage.table}")
        return moved

    def _move(self, stage: Stage, span: Span, *, in_place: bool) -> int:
        return self.rows.move(
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
                **{name: SQL(f"r.{s}") for name, s in zip(survivor_columns(len(stage.s)), stage.s, strict=True)},
                # Compared under lock, and not changed since; see also _note_survivors.
                "integrity_survivor_fp": SQL("r.survivor_fp" if stage is self.root else "CAST(NULL AS bigint)"),
                "integrity_at": SQL("CURRENT_TIMESTAMP"),
            },
            span=span,
            refusals=self.refusals,
            in_place=in_place,
        )

    def _note_survivors(self, span: Span) -> None:
        """Where the batch, or a trigger, may have changed survivors, keep their fingerprints as they are afterwards."""
        if not (self.touched or self.fills or self.has_triggers):
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
                    survivor_columns(len(self.root.pk)),
                ),
            ),
            (self.run, *span),
        )

    def _repoint(self, stage: Stage, span: Span) -> int:
        """Move a stage's references to the survivors, or fill fields of these, and see that all was done."""
        moved = self.repointer.repoint(stage, span)
        self._expect(moved, self._planned(stage, "repoint", span), f"references of {stage.table} moved")
        return moved

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
                "A trigger or a rule on the table may be changing what the statements do, or writing down that a row "
                "goes. The preview names the triggers: switch off for the run the one that does, then resume it."
            )

    def _check_nothing_dangles(self, span: Span, removed: Iterable[Stage]) -> None:
        for stage in removed:
            for other in self.touched:
                for reference in other.references:
                    if reference.target_table == stage.table and reference.target_columns == stage.pk:
                        self._check_none_left(reference, other, stage, span)

    def _check_none_left(self, reference: StagedReference, other: Stage, stage: Stage, span: Span) -> None:
        left = self.rows.value(
            compose(
                "SELECT COUNT(*) FROM {stage} AS r JOIN {table} AS c ON {points} "
                "WHERE r.action = 'remove' AND {in_span} {lost}",
                stage=stage.name,
                table=other.table,
                points=points_at_staged(reference, stage, self.rows),
                in_span=in_span(self.refusals),
                lost=_lost(stage),
            ),
            span,
        )
        self._expect(int(left), 0, f"rows of {other.table} that reference removed rows of {stage.table}")


def _lost(stage: Stage) -> SQL:
    """Condition, to be added: no row that got another key has taken over the one of the removed row ``r``."""
    if not key_changes(stage, stage.pk):
        return SQL("")
    return compose(
        "AND NOT EXISTS (SELECT 1 FROM {table} AS h WHERE {same})",
        table=stage.table,
        same=on("h", stage.pk, "r", stage.p),
    )
