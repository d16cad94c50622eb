"""A stored plan row by row, for whoever wants to read all of it; streamed, with flat memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.apps.registry import Apps
from django.db import transaction

from integrity.backends import get_rows
from integrity.backends.sql import SQL, columns, compose
from integrity.backends.statements import Query
from integrity.dedupe.plans import load_plan, stages_of
from integrity.dedupe.refusals import REASONS, refusals_of
from integrity.dedupe.stages import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueChange:
    """One column of a row before and after, as text; None for NULL."""

    column: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """What a plan does to one row."""

    group: int
    table: str
    pk: str
    action: str
    """``keep``, ``remove``, ``repoint``, or ``stay`` (redundant, and not to be removed)."""
    kind: str
    """``survivor``, ``identical``, ``incomplete``, ``conflicting``, ``reference``, ``collision``, ..."""
    survivor: str
    """The primary key of the row that stands for it once it is removed; else empty."""
    changes: tuple[ValueChange, ...]
    refused: str
    """Why its group is left as it is; empty where it is treated."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def planned_rows(plan_id: int, *, apps: Apps, using: str) -> Iterator[PlannedRow]:
    """Yield every row of a plan: the rule's own table in the order of its groups, then the others.

    Holds one transaction open until the last row is taken.

    Raises:
        UnknownPlan: there is no such plan.
    """
    root, stages = stages_of(load_plan(plan_id, apps=apps, using=using))
    with transaction.atomic(using=using):
        for stage in (root, *stages):
            for row in get_rows(using=using).stream(_every_row(stage, root)):
                yield _planned(stage, row)


def planned_survivor(plan: Any, group: int, *, using: str) -> PlannedRow:
    """What a stored plan does to the row of a group that stays: ``changes`` are the fields that it fills."""
    root, stages = stages_of(plan)
    found: list[PlannedRow] = []
    for stage in (root, *(stage for stage in stages if stage.fills)):
        rows = get_rows(using=using).stream(_every_row(stage, root, survivor_of=group))
        found.extend(_planned(stage, row) for row in rows)
    return replace(found[0], changes=() if found[0].refused else found[-1].changes)


def _every_row(stage: Stage, root: Stage, *, survivor_of: int | None = None) -> Query:
    values = columns((name for r in stage.references for name in (*r.old, *r.new)), of="r")
    return Query(
        sql=compose(
            """
            SELECT r.grp, r.action, r.kind, (SELECT MIN(f.reason) FROM {refusals} AS f WHERE f.unit = r.unit), {p}, {s}
                   {values}
            FROM {stage} AS r {only} ORDER BY r.grp, r.pos
            """,
            only=SQL("" if survivor_of is None else "WHERE r.grp = %s AND r.pos = 1"),
            refusals=refusals_of(root),
            p=columns(stage.p, of="r"),
            s=columns(stage.s, of="r"),
            values=SQL(f", {values}" if values else ""),
            stage=stage.name,
        ),
        params=() if survivor_of is None else (survivor_of,),
    )


def _planned(stage: Stage, row: Sequence[Any]) -> PlannedRow:
    group, action, kind, refused, *rest = row
    n = len(stage.pk)
    return PlannedRow(
        group=int(group),
        table=stage.table,
        pk=_key(rest[:n]),
        action=action,
        kind=kind,
        survivor=_key(rest[n : 2 * n]) if action == "remove" else "",
        changes=tuple(_changes(stage, rest[2 * n :])) if action == "repoint" else (),
        refused=REASONS.get(refused, refused) or "",
    )


def _changes(stage: Stage, values: Sequence[Any]) -> Iterator[ValueChange]:
    given = iter(values)
    for reference in stage.references:
        olds = [next(given) for _ in reference.columns]
        news = [next(given) for _ in reference.columns]
        for column, old, new in zip(reference.columns, olds, news, strict=True):
            if new is not None:
                yield ValueChange(column=column, old=_text(old), new=_text(new))


def _key(values: Sequence[Any]) -> str:
    return ", ".join(_text(value) or "" for value in values)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)
