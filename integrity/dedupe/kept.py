"""What a run has kept of one table, held against the table as it is now: its columns may have changed since.

A column that was added gets its default; one that became NOT NULL gets it instead of NULL. One that was dropped is
left out, and the rows that had a value there stay in quarantine as well, under the run's negative number. One that
may have been renamed, or whose type is of another kind now, blocks the undo: nobody here knows what it means. So does
one that quarantine itself has lost: it would come back empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps.registry import Apps
from django.db import connections

from integrity.backends import Column, get_catalogue, get_rows
from integrity.backends.sql import SQL, compose, joined, numbered
from integrity.backends.statements import Query
from integrity.dedupe.quarantine import columns_of, require_there, side_tables_of


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A side table with rows of a run: a quarantine (``column`` empty), or the changes of one column."""

    name: str
    table: str
    pk: tuple[str, ...]
    names: tuple[str, ...]
    """Columns of a quarantine that its table still has."""
    gone: tuple[str, ...] = ()
    """Columns that the table has no more, and in which the run's rows have values."""
    emptied: tuple[str, ...] = ()
    """Columns that take no NULL any more, and in which some of the run's rows are NULL."""
    whole: bool = True
    """Whether the table still has all of them, so that fingerprints can be compared."""
    retyped: tuple[str, ...] = ()
    """Columns whose type is another one of the same kind: longer, larger."""
    column: str = ""
    """The column whose values a table of changes keeps; empty for a quarantine."""
    blocked: str = ""
    """Why nothing of it can go back."""
    fallbacks: dict[str, Query] = field(default_factory=dict)
    """Expressions for the columns that must have a value."""

    @property
    def change_pk(self) -> tuple[str, ...]:
        """The columns of a table of changes that hold the changed row's primary key."""
        return numbered("pk", len(self.pk))

    @property
    def notes(self) -> tuple[str, ...]:
        """What comes back otherwise than it was, in words."""
        gone = (
            f"rows of {self.table} come back without {', '.join(self.gone)}, which the table has no more; "
            f"the values stay in {self.name} until they are purged"
        )
        emptied = (
            f"rows of {self.table} that had NULL in {', '.join(self.emptied)} come back with the default, "
            "since a value is required now"
        )
        return tuple(note for names, note in ((self.gone, gone), (self.emptied, emptied)) if names and not self.blocked)


def kept_of(run: int, table: str, *, kind: str, apps: Apps, using: str) -> Iterator[Kept]:
    """Yield a table's side tables of one kind that hold anything of a run.

    Raises:
        SideTableGone: one of them is not there, so that nobody knows what it held.
    """
    catalogue, rows = get_catalogue(using=using), get_rows(using=using)
    for side in side_tables_of(table, kind=kind, apps=apps, using=using):
        require_there(side, using=using)
        of_run = compose("SELECT COUNT(*) FROM {name} WHERE integrity_run = %s", name=side.name)
        if not rows.value(of_run, (run,)):
            continue
        now = {c.name: c for c in catalogue.columns(table) if not c.generated}
        pk = catalogue.primary_key(table)
        if kind == "quarantine":
            yield _quarantine(run, side, now, pk, apps=apps, using=using)
        else:
            yield _changes(side, now, pk, using=using)


def _quarantine(run: int, side: Any, now: dict[str, Column], pk: tuple[str, ...], *, apps: Apps, using: str) -> Kept:
    kept, _ = columns_of(side.name, using=using)
    missing = [name for name in kept if name not in now]
    gone = tuple(name for name in missing if _any_row(run, side.name, name, "IS NOT NULL", using=using))
    were = {name: kind for name, kind in side.columns if name in now and name in kept and now[name].type != kind}
    alien = {name: kind for name, kind in were.items() if _other_kind(kind, now[name].type, using=using)}
    fallbacks = _fallbacks(side.table, now, pk, kept, apps=apps, using=using)
    return Kept(
        name=side.name,
        table=side.table,
        pk=pk,
        names=tuple(name for name in kept if name in now),
        gone=gone,
        emptied=tuple(n for n in fallbacks if n in kept and _any_row(run, side.name, n, "IS NULL", using=using)),
        whole=not missing and not alien,
        retyped=tuple(were),
        blocked=_blocked(side, now, pk, kept=kept, gone=gone, alien=alien),
        fallbacks=fallbacks,
    )


def _blocked(
    side: Any,
    now: dict[str, Column],
    pk: tuple[str, ...],
    *,
    kept: tuple[str, ...],
    gone: tuple[str, ...],
    alien: dict[str, str],
) -> str:
    if not now:
        return f"table {side.table} is gone; its rows stay in {side.name}"
    if not set(pk) <= set(kept):
        return f"the primary key of {side.table} is ({', '.join(pk)}) now, which the removed rows do not have"
    types = dict(side.columns)
    for name in types:
        if name in now and name not in kept:  # DROP TYPE and DROP EXTENSION take it along with CASCADE
            return (
                f"{side.name} has lost its column {name}, with the values that {side.table} had there. Give it back, "
                f'from a backup if there is one: ALTER TABLE "{side.name}" ADD COLUMN "{name}" {now[name].type}; then '
                "undo"
            )
    for old in gone:
        new = next((name for name in now if name not in kept and now[name].type == types.get(old)), None)
        if new is not None:
            return (
                f"column {old} of {side.table} is gone and {new} is new. If it was renamed, rename it in quarantine "
                f'too: ALTER TABLE "{side.name}" RENAME COLUMN "{old}" TO "{new}"; if not, add {old} again until it is '
                "undone"
            )
    for name, kind in alien.items():
        return (
            f"column {name} of {side.table} was {kind} and is {now[name].type} now; change it back, undo, and change "
            "it again"
        )
    return ""


def _changes(side: Any, now: dict[str, Column], pk: tuple[str, ...], *, using: str) -> Kept:
    *old_pk, (column, kind) = side.columns
    blocked = ""
    if column not in now:
        blocked = f"column {column} of {side.table} is gone; what it held before stays in {side.name}"
    elif _other_kind(kind, now[column].type, using=using):
        blocked = f"column {column} of {side.table} was {kind} and is {now[column].type} now; change it back first"
    elif tuple(name for name, _ in old_pk) != pk:
        blocked = f"the primary key of {side.table} is ({', '.join(pk)}) now"
    return Kept(name=side.name, table=side.table, pk=pk, names=(), column=column, blocked=blocked)


def _other_kind(one: str, other: str, *, using: str) -> bool:
    """Whether values of two types cannot be compared as they are."""
    rows = get_rows(using=using)
    return rows.must_convert(one, other) or rows.must_convert(other, one)


def _any_row(run: int, name: str, column: str, condition: str, *, using: str) -> bool:
    query = compose(
        "SELECT COUNT(*) FROM {name} WHERE integrity_run = %s AND {column} {condition}",
        name=name,
        column=column,
        condition=SQL(condition),
    )
    return bool(get_rows(using=using).value(query, (run,)))


def _fallbacks(
    table: str, now: dict[str, Column], pk: tuple[str, ...], kept: tuple[str, ...], *, apps: Apps, using: str
) -> dict[str, Query]:
    """For each column that must have a value: the default that the database has for it, or else its model.

    Django drops a default from the database once it has filled the rows that are there.
    """
    found = {}
    for name, column in now.items():
        if column.nullable or name in pk:
            continue
        if column.default is not None:
            if name in kept:  # one that is new is filled by the database itself
                found[name] = Query(sql=SQL(f"({column.default.replace('%', '%%')})"))
        elif (value := _default_in_model(table, name, apps=apps, using=using)) is not None:
            found[name] = Query(sql=SQL("%s"), params=(value,))
    return found


def _default_in_model(table: str, column: str, *, apps: Apps, using: str) -> Any:
    for model in apps.get_models(include_auto_created=True):
        for known in model._meta.local_concrete_fields if model._meta.db_table == table else ():
            if known.column == column and known.has_default():
                return known.get_db_prep_save(known.get_default(), connections[using])
    return None


def any_of(names: tuple[str, ...], alias: str) -> SQL:
    """Condition: one of these columns has a value."""
    return joined(" OR ", (compose("{q}.{name} IS NOT NULL", q=alias, name=name) for name in names))
