"""Take a run back: rows leave quarantine for their tables, references point where they pointed, byte for byte.

Newest units first, in short transactions. A unit is refused, with its reason, where going back would not lead to
the state before: a unique constraint is in place, an id is taken again, the survivor or a repointed row was edited.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from secrets import token_hex
from typing import Any

from django.apps.registry import Apps
from django.db import DatabaseError
from django.db.models.functions import Now

from integrity import conf
from integrity.backends import get_catalogue, get_rows
from integrity.backends.fault import headline, refuses_rows
from integrity.backends.sql import SQL, compose, joined
from integrity.dedupe import states
from integrity.dedupe.advice import command_for
from integrity.dedupe.books import book
from integrity.dedupe.collisions import frees_keys
from integrity.dedupe.kept import Kept, kept_of
from integrity.dedupe.latekeys import turns_to_point_back
from integrity.dedupe.oldvalues import Unlike
from integrity.dedupe.plans import load_plan, require_groups, stages_of
from integrity.dedupe.progress import Progress, Report, silent
from integrity.dedupe.quarantine import FILLED, REPOINTED
from integrity.dedupe.restoring import Restorer
from integrity.dedupe.results import UndoSummary
from integrity.dedupe.runs import load_run
from integrity.dedupe.spans import Span, spans_of
from integrity.dedupe.stages import application_order
from integrity.dedupe.undochecks import UndoChecks
from integrity.dedupe.undoorphans import lost_parents
from integrity.dedupe.undoparents import removed_parents
from integrity.dedupe.undorefusals import UndoRefusals
from integrity.exceptions import IntegrityAppError

_UNITS_PER_BATCH = 500


class Purged(IntegrityAppError):
    """What the run had kept was deleted."""


def undo_run(
    run_id: int,
    *,
    apps: Apps,
    using: str,
    groups: Sequence[int] = (),
    dry_run: bool = False,
    report: Report = silent,
) -> UndoSummary:
    """Bring back what a run removed and repointed: all of it, or the given groups (with those tied to them).

    A run at work is paused first, at the end of its batch. Each batch locks the run and the rows it writes.
    ``dry_run`` makes all checks and changes nothing.

    Raises:
        UnknownRun: there is no such run.
        Purged: what it had kept is gone, or went meanwhile.
        WrongState: it was undone already.
        UnknownGroup: its plan lacks one of the groups.
        SideTableGone: a table in which it may have kept something is not in the database.
        VerificationFailed: a batch did not restore what was kept; it was rolled back.
    """
    run = load_run(run_id, apps=apps, using=using)
    _require_kept(run, using=using)
    if run.state not in states.UNDOABLE:
        raise states.WrongState(f"Run {run_id} is {run.state} already.")
    require_groups(load_plan(run.plan_id, apps=apps, using=using), groups)
    if run.state in (states.PLANNED, states.RUNNING) and not dry_run:
        # Whoever is at it stops after its batch, whose rows are then there to be brought back.
        states.move_to(run, states.PAUSED, using=using)
    return _Undo(run, apps=apps, using=using, dry_run=dry_run).undo(groups=groups, report=report)


def _require_kept(run: Any, *, using: str) -> None:
    if "purged" in run.details:
        raise Purged(
            f"Run {run.pk} was purged on {run.details['purged'][:10]}: the rows that it removed are gone for good. "
            f"Where each of them went: {command_for('where_is ID', using=using)}"
        )


class _Undo:
    """The undoing of one run."""

    def __init__(self, run: Any, *, apps: Apps, using: str, dry_run: bool) -> None:
        self.run, self.apps, self.using, self.dry_run = run, apps, using, dry_run
        self.rows = get_rows(using=using)
        root, stages = stages_of(load_plan(run.plan_id, apps=apps, using=using))
        order = [stage.table for stage in application_order(root, stages)]
        self.tables = list(dict.fromkeys(reversed(order)))
        """The rule's own table first, then the tables that reference it, and those that reference them."""
        later_runs = self._are_later_runs()
        removed = removed_parents(run.pk, self.tables, apps=apps, using=using) if later_runs else ()
        quarantines, changes, fills = (self._kept(kind) for kind in ("quarantine", REPOINTED, FILLED))
        self.checks = UndoChecks(
            run=run.pk,
            # Two may undo one run at once, or one try it out meanwhile. What a killed one left goes with the purge.
            refusals=UndoRefusals(name=f"integrity_undo_{run.pk}_{token_hex(4)}", rows=self.rows),
            root_table=root.table,
            quarantines=quarantines,
            changes=changes,
            fills=fills,
            later_runs=later_runs,
            parents=(*removed, *lost_parents(quarantines, (*changes, *fills), apps=apps, using=using)),
            rows=self.rows,
            apps=apps,
            using=using,
        )
        self.restorer = Restorer(
            run=run.pk,
            tables=tuple(self.tables),
            rows_first=frozenset(s.table for s in stages if s.table in s.targets and not frees_keys(s, using=using)),
            turns=turns_to_point_back(self.tables, {s.table: s for s in stages if s.plain}, get_catalogue(using=using)),
            checks=self.checks,
            rows=self.rows,
        )

    def _kept(self, kind: str) -> tuple[Kept, ...]:
        """The side tables of a kind that hold anything of this run."""
        found = (kept_of(self.run.pk, table, kind=kind, apps=self.apps, using=self.using) for table in self.tables)
        return tuple(chain.from_iterable(found))

    def _are_later_runs(self) -> bool:
        runs = book("DedupeRun", apps=self.apps, using=self.using)
        return bool(runs.filter(pk__gt=self.run.pk).exclude(state=states.UNDONE).exists())

    def undo(self, *, groups: Sequence[int], report: Report) -> UndoSummary:
        refusals = self.checks.refusals
        refusals.create()
        done: Counter[str] = Counter()
        try:
            spans = self._spans(groups)
            for n, span in enumerate(spans):
                report(Progress(step="restoring", done=n, total=len(spans)))
                done += self._check_only(span) if self.dry_run else self._undo_span(span)
            refused = refusals.summary()
        except (DatabaseError, IntegrityAppError):
            if any(done.values()) and not self.dry_run:  # what was committed before it stays
                states.move_to(self.run, states.PARTIALLY_UNDONE, using=self.using)
            raise
        finally:
            refusals.drop()
        if not self.dry_run:
            self._close(restored_any=any(done.values()))
        return UndoSummary(
            run=self.run.pk,
            state=self.run.state,
            restored=done["restored"],
            repointed=done["repointed"],
            refused=refused,
            kept=tuple(chain.from_iterable(kept.notes for kept in self.checks.quarantines)),
        )

    def _group_of(self, unit: int) -> int:
        """The first group of a unit; of a large group each row is one."""
        query = compose(
            "SELECT MIN(integrity_group) FROM ({kept}) AS k WHERE integrity_run = %s AND integrity_unit = %s",
            kept=self._units_kept(),
        )
        return int(self.rows.value(query, (self.run.pk, unit)))

    def _units_kept(self) -> SQL:
        """A query of the units and groups of which anything is kept, of all runs; empty where there is nothing."""
        units = "SELECT integrity_unit, integrity_group, integrity_run FROM {name}"
        return joined(" UNION ", (compose(units, name=kept.name) for kept in self.checks.all))

    def _spans(self, groups: Sequence[int]) -> list[Span]:
        """Spans of units, newest first."""
        kept = self._units_kept()
        if not kept:
            return []
        if groups:
            marks = SQL(", ".join(["%s"] * len(groups)))
            query = compose(
                "SELECT DISTINCT integrity_unit FROM ({kept}) AS k "
                "WHERE integrity_run = %s AND integrity_group IN ({marks}) ORDER BY 1",
                kept=kept,
                marks=marks,
            )
            units = (int(unit) for (unit,) in self.rows.fetch(query, (self.run.pk, *groups)))
            return spans_of(units, most=_UNITS_PER_BATCH)[::-1]
        bounds = compose(
            "SELECT MIN(integrity_unit), MAX(integrity_unit) FROM ({kept}) AS k WHERE integrity_run = %s", kept=kept
        )
        low, high = self.rows.fetch(bounds, (self.run.pk,))[0]
        return [(max(low - 1, top - _UNITS_PER_BATCH), top) for top in range(high, low - 1, -_UNITS_PER_BATCH)]

    def _undo_span(self, span: Span) -> Counter[str]:
        """Undo a span; where the database refuses it, find the unit that it refuses by halving."""
        try:
            with self.rows.batch(lock_timeout=conf.lock_timeout()):
                self._lock()
                self.checks.refuse(span)
                return self.restorer.restore(span)
        except (DatabaseError, Unlike) as error:
            if isinstance(error, DatabaseError) and not refuses_rows(error):
                raise
            low, high = span
            if high - low == 1:
                self.checks.refusals.note(high, self._group_of(high), headline(error))
                return Counter()
            middle = (low + high) // 2
            return self._undo_span((middle, high)) + self._undo_span((low, middle))

    def _check_only(self, span: Span) -> Counter[str]:
        self.checks.refuse(span)
        return self.restorer.planned(span)

    def _lock(self) -> None:
        runs = type(self.run)._base_manager.using(self.using)
        run = runs.select_for_update().get(pk=self.run.pk)
        _require_kept(run, using=self.using)
        if run.state == states.RUNNING or not self.rows.claim_table(self.checks.root_table):
            raise states.WrongState(
                f"A run is changing table {self.checks.root_table!r} just now; undo when it has ended."
            )
        runs.filter(pk=run.pk).update(updated_at=Now())  # a purge of what is old passes it over

    def _close(self, *, restored_any: bool) -> None:
        """Note how far the run is undone now."""
        left = sum(
            int(
                self.rows.value(
                    compose("SELECT COUNT(*) FROM {name} WHERE integrity_run = %s", name=kept.name), (self.run.pk,)
                )
            )
            for kept in self.checks.all
        )
        if left == 0:
            states.move_to(self.run, states.UNDONE, using=self.using, finished_at=Now())
        elif restored_any:
            states.move_to(self.run, states.PARTIALLY_UNDONE, using=self.using)
