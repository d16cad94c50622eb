"""Where a row is now: in its table, in quarantine, or purged; and which row stands for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, product
from typing import Any

from django.apps.registry import Apps
from django.db import DataError, transaction

from integrity.backends import get_catalogue, get_rows
from integrity.backends.sql import SQL, columns, compose, joined, numbered
from integrity.dedupe.books import book, require_books
from integrity.dedupe.quarantine import require_there, side_tables_of, survivor_columns
from integrity.dedupe.redirects import REDIRECT
from integrity.dedupe.spelling import spellings
from integrity.dedupe.target import MissingTable

IN_TABLE, IN_QUARANTINE, PURGED, NOWHERE = "table", "quarantine", "purged", "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A row on the way: where it is, and by which run and why it was removed (0 and "" where it was not)."""

    pk: str
    place: str
    """``table``, ``quarantine``, ``purged``, or ``nowhere`` (never removed by a run, or deleted by others)."""
    run: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """A row of a table, then the row that stands for it, and so on; the last one stands for all of them."""

    table: str
    steps: tuple[Step, ...]

    @property
    def now(self) -> Step:
        return self.steps[-1]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def where_is(id: Any, *, apps: Apps, using: str, table: str = "") -> tuple[Whereabouts, ...]:
    """Return where the row with this primary key is, in each table where a row of this key was removed.

    UUIDs may have dashes or not; several columns are separated by commas. Without ``table``, tables are looked at in
    which runs have removed anything. Where the database has given a removed row's key to a new one (SQLite does, if
    it was the last), both are answers, the one in the table first. The table and its redirects are asked by index;
    quarantine is read through.

    Raises:
        NotMigrated: the database has no books.
        MissingTable: there is no such table.
        SideTableGone: what runs have removed from it was kept in a table that is not there.
    """
    require_books(using=using)
    known = book("SideTable", apps=apps, using=using).filter(kind__in=("quarantine", REDIRECT))
    tables = [table] if table else list(known.order_by("table").values_list("table", flat=True).distinct())
    if table and not get_catalogue(using=using).primary_key(table):
        raise MissingTable(f"Database {using!r} has no table {table!r} with a primary key.")
    found = [way for one in tables for way in _Search(one, apps=apps, using=using).ways(str(id))]
    lost = {one.table for one in found if one.steps[0].run}
    removed = [one for one in found if one.table in lost]
    there = [one for one in found if one.now.place != NOWHERE]
    return tuple(removed or there or found[: 1 if table else 0])


class _Search:
    """Looks for rows of one table."""

    def __init__(self, table: str, *, apps: Apps, using: str) -> None:
        catalogue = get_catalogue(using=using)
        self.table, self.using, self.rows = table, using, get_rows(using=using)
        self.pk = catalogue.primary_key(table)
        types = {column.name: column.type for column in catalogue.columns(table)}
        self.types = [types[name] for name in self.pk]
        sides = {kind: side_tables_of(table, kind=kind, apps=apps, using=using) for kind in ("quarantine", REDIRECT)}
        for side in chain(*sides.values()):
            require_there(side, using=using)
        self.quarantines = [side.name for side in sides["quarantine"]]
        self.redirects = [side.name for side in sides[REDIRECT]]

    def ways(self, text: str) -> Iterator[Whereabouts]:
        """Yield where the row is that has this key now, and the way of one that was removed under it; or nowhere."""
        spelled = [spellings(part) for part in text.split(",")] if len(self.pk) > 1 else [spellings(text)]
        key = next(filter(self._is_known, product(*spelled)), None)
        if key is None:
            yield Whereabouts(table=self.table, steps=(Step(pk=text, place=NOWHERE),))
        elif self._in_table(key):
            yield Whereabouts(table=self.table, steps=(Step(pk=_text(key), place=IN_TABLE),))
        if key is not None and any(True for _ in self._removals(key)):
            yield Whereabouts(table=self.table, steps=tuple(self._steps(key)))

    def _steps(self, key: Sequence[Any] | None) -> list[Step]:
        """The way of a removed row, which ends where a row is in the table or nothing stands for it."""
        steps: list[Step] = []
        while key is not None:
            if steps and self._in_table(key):
                steps.append(Step(pk=_text(key), place=IN_TABLE))
                break
            # A survivor was there when the run removed the other: an earlier removal was of another row of its key.
            since = steps[-1].run if steps else 0
            removals = [found for found in self._removals(key) if found[0].run >= since and found[0] not in steps]
            if not removals:
                steps.append(Step(pk=_text(key), place=NOWHERE))
                break
            step, key = max(removals, key=lambda found: found[0].run)
            steps.append(step)
        return steps

    def _is_known(self, key: Sequence[Any]) -> bool:
        return len(key) == len(self.pk) > 0 and (self._in_table(key) or any(True for _ in self._removals(key)))

    def _in_table(self, key: Sequence[Any]) -> bool:
        return bool(self._fetch("SELECT 1 FROM {name} WHERE {same}", self.table, self.pk, key))

    def _removals(self, key: Sequence[Any]) -> Iterator[tuple[Step, Sequence[Any] | None]]:
        """Each time that a row of this key was removed and not brought back, with the survivor's key."""
        survivors = survivor_columns(len(self.pk))
        for name in self.quarantines:
            select = "SELECT integrity_run, integrity_reason, {s} FROM {name} WHERE {same} AND integrity_run > 0"
            for run, reason, *survivor in self._fetch(select, name, self.pk, key, s=columns(survivors)):
                yield Step(pk=_text(key), place=IN_QUARANTINE, run=int(run), reason=str(reason)), _heir(survivor)
        for name in self.redirects:
            select = "SELECT integrity_run, {s} FROM {name} WHERE {same}"
            p, s = numbered("p", len(self.pk)), numbered("s", len(self.pk))
            for run, *survivor in self._fetch(select, name, p, key, s=columns(s)):
                yield Step(pk=_text(key), place=PURGED, run=int(run)), _heir(survivor)

    def _fetch(
        self, select: str, name: str, names: Sequence[str], key: Sequence[Any], **parts: SQL
    ) -> list[tuple[Any, ...]]:
        """Rows with this key; none where the key cannot even be one of this table."""
        same = joined(
            " AND ",
            (
                compose("{own} = {value}", own=own, value=self.rows.convert(SQL("%s"), to=kind))
                for own, kind in zip(names, self.types, strict=True)
            ),
        )
        try:
            with transaction.atomic(using=self.using):
                return self.rows.fetch(compose(select, name=name, same=same, **parts), key)
        except DataError:
            return []


def _heir(survivor: Sequence[Any]) -> Sequence[Any] | None:
    return None if survivor[0] is None else survivor


def _text(key: Sequence[Any]) -> str:
    return ", ".join(map(str, key))
