"""What a run removed and still keeps, table by table and page by page. Read-only."""

from __future__ import annotations

from dataclasses import dataclass

from django.apps.registry import Apps
from django.db import transaction

from integrity.backends import get_catalogue, get_rows
from integrity.backends.sql import columns, compose
from integrity.backends.statements import Query
from integrity.dedupe.abbreviation import abbreviate
from integrity.dedupe.books import book, require_books
from integrity.dedupe.quarantine import columns_of

ROWS_PER_PAGE = 50

_OWN = ("integrity_group", "integrity_reason", "integrity_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """One side table and how many rows of a run it holds."""

    name: str
    table: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedRow:
    """One row in quarantine. Values are abbreviated, in the order of the page's columns; None for NULL."""

    group: int
    reason: str
    survivor: str
    """The primary key of the row that stands for it."""
    at: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedPage:
    """Some rows of one quarantine; ``number`` counts from 1."""

    number: int
    columns: tuple[str, ...]
    rows: tuple[RemovedRow, ...]
    more: bool


def quarantines_of(run_id: int, *, apps: Apps, using: str) -> tuple[Quarantine, ...]:
    """Return the side tables that hold rows of a run, with their numbers of rows: empty after an undo.

    Raises:
        NotMigrated: the database has no books.
    """
    require_books(using=using)
    sides = book("SideTable", apps=apps, using=using).filter(kind="quarantine").order_by("table", "generation")
    there = get_catalogue(using=using).tables()
    rows = get_rows(using=using)
    found = (
        Quarantine(
            name=side.name,
            table=side.table,
            rows=int(
                rows.value(compose("SELECT COUNT(*) FROM {name} WHERE integrity_run = %s", name=side.name), (run_id,))
            ),
        )
        for side in sides
        if side.name in there
    )
    return tuple(quarantine for quarantine in found if quarantine.rows)


def removed_rows(quarantine: Quarantine, *, run_id: int, number: int = 1, using: str) -> RemovedPage:
    """Return a page of the rows that a run removed from one table, in the order of their groups."""
    own, survivors = columns_of(quarantine.name, using=using)
    pk = get_catalogue(using=using).primary_key(quarantine.table)
    query = Query(
        sql=compose(
            """
            SELECT {book}, {survivors}, {own} FROM {name} AS q WHERE integrity_run = %s
            ORDER BY {order} LIMIT %s OFFSET %s
            """,
            book=columns(_OWN, of="q"),
            survivors=columns(survivors, of="q"),
            own=columns(own, of="q"),
            name=quarantine.name,
            order=columns(("integrity_unit", "integrity_group", *(name for name in pk if name in own)), of="q"),
        ),
        params=(run_id, ROWS_PER_PAGE + 1, (number - 1) * ROWS_PER_PAGE),
    )
    found = []
    with transaction.atomic(using=using):
        for group, reason, at, *rest in get_rows(using=using).stream(query, size=1):
            found.append(
                RemovedRow(
                    group=int(group),
                    reason=str(reason),
                    survivor=", ".join(str(value) for value in rest[: len(survivors)]),
                    at=str(abbreviate(at)),
                    values=tuple(abbreviate(value) for value in rest[len(survivors) :]),
                )
            )
    return RemovedPage(number=number, columns=own, rows=tuple(found[:ROWS_PER_PAGE]), more=len(found) > ROWS_PER_PAGE)
