"""What a run left: the groups that it refused, to be planned anew without searching the whole table.

Where others write all the time, a row of a group may change between every plan of a large table and its application.
A plan of the few groups that are left takes a moment, and is applied before that; or all of it is done while their
rows are held.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from django.apps.registry import Apps

from integrity.backends import get_rows
from integrity.backends.sql import SQL, columns, compose
from integrity.dedupe.plans import UnknownPlan, load_plan, require_stages, stages_of
from integrity.dedupe.refusals import refusals_of
from integrity.dedupe.rule import DedupeRule
from integrity.dedupe.runs import load_run
from integrity.dedupe.target import Target, resolve

_LONGEST: Final = timedelta(milliseconds=250)
"""For each statement while rows are held that others want to write to."""


def rows_left_by(run_id: int, target: Target, *, apps: Apps) -> SQL:
    """Return a query of the primary keys of the rows, as planned, that a run refused, and of their survivors.

    Raises:
        UnknownRun: there is no such run.
        UnknownPlan: its plan was purged or has lost its side tables, or is of another table.
    """
    run = load_run(run_id, apps=apps, using=target.using)
    plan = load_plan(run.plan_id, apps=apps, using=target.using)
    if plan.table != target.table:
        raise UnknownPlan(f"Run {run_id} is on table {plan.table!r}, not on {target.table!r}.")
    require_stages(plan, using=target.using)
    root, _ = stages_of(plan)
    return compose(
        """
        SELECT {p} FROM {root} WHERE unit IN ({left})
           OR (pos = 1 AND grp IN (SELECT grp FROM {root} WHERE unit > grp AND unit IN ({left})))
        """,
        p=columns(root.p),
        root=root.name,
        left=compose("SELECT unit FROM {refusals}", refusals=refusals_of(root)),
    )


@contextmanager
def holding_leftovers(run_id: int, rule: DedupeRule, *, apps: Apps, using: str) -> Iterator[None]:
    """Hold the rows of all groups that a run refused, in one transaction, so that nobody else changes them.

    To be used for a few groups: whoever writes to one of them waits until they are planned and that plan is applied.
    No statement of this waits, or takes, longer than 250 ms (PostgreSQL).

    Raises:
        UnknownRun, UnknownPlan: see ``rows_left_by``.
        OperationalError: somebody else holds a row, or something takes too long.
    """
    target, rows = resolve(rule, apps=apps, using=using), get_rows(using=using)
    left = rows_left_by(run_id, target, apps=apps)
    with rows.batch(lock_timeout=_LONGEST, limit=_LONGEST):
        rows.hold_rows(table=target.table, pk=target.pk, keys=left)
        yield
