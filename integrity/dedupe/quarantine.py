"""Typed side tables: removed rows, and values that runs changed, kept as they were until undone or purged.

A quarantine table has the original's own columns and types, without its constraints, and beside them

    integrity_run, integrity_unit, integrity_group   which run, and which group of its plan
    integrity_reason                                 why the row went: ``identical``, ``incomplete``, ``collision``, ...
    integrity_survivor_1..n                          the primary key of the row that stands for it
    integrity_survivor_fp                            that row's fingerprint, to see later whether it was edited
    integrity_at                                     when

A table of changes has the changed row's primary key as it is after the change (``pk1..n``), and the column's
``old`` and ``new`` value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.apps.registry import Apps

from integrity.backends import Catalogue, get_catalogue, get_rows
from integrity.backends.names import own_name
from integrity.backends.sql import SQL, columns, compose, identifier, joined, literal, numbered
from integrity.backends.statements import Query
from integrity.dedupe.books import book
from integrity.exceptions import IntegrityAppError

REPOINTED: Final = "changes"
FILLED: Final = "fills"
"""Kinds of side tables that keep changed values, beside the kind ``quarantine``."""

_OF_THE_RUN = ("integrity_run", "integrity_unit", "integrity_group")
_OWN = frozenset((*_OF_THE_RUN, "integrity_reason", "integrity_survivor_fp", "integrity_at"))


class SideTableGone(IntegrityAppError):
    """A table in which a run has kept something is not in the database."""


def survivor_columns(count: int) -> tuple[str, ...]:
    """The columns of a quarantine with the survivor's primary key."""
    return numbered("integrity_survivor_", count)


def columns_of(quarantine: str, *, using: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that a quarantine has of its table, as it has them now, and those of the survivor's primary key.

    The catalogue is asked and not the register: whoever renames a column may do so in quarantine as well.
    """
    names = tuple(c.name for c in get_catalogue(using=using).columns(quarantine) if c.name not in _OWN)
    survivors = tuple(name for name in names if name.removeprefix("integrity_survivor_").isdecimal())
    return tuple(name for name in names if name not in survivors), survivors


def quarantine_of(table: str, *, apps: Apps, using: str, catalogue: Catalogue) -> str:
    """Return the name of a table's current quarantine, made if it is not there.

    Where the original's columns are no longer those of the latest quarantine, or it is gone or has lost some of them, a
    new generation is made beside it.
    """
    names = tuple(c.name for c in catalogue.columns(table) if not c.generated)
    shape = _shape(table, names, catalogue=catalogue)
    latest = side_tables_of(table, kind="quarantine", apps=apps, using=using).first()
    if latest is not None and latest.columns == shape and _has(latest, names, catalogue=catalogue):
        return str(latest.name)
    pk = catalogue.primary_key(table)
    extra = {
        **dict.fromkeys(_OF_THE_RUN, SQL("CAST(NULL AS bigint)")),
        "integrity_reason": SQL("CAST(NULL AS text)"),
        **{
            survivor: compose("CASE WHEN 1 = 0 THEN t.{column} END", column=column)
            for survivor, column in zip(survivor_columns(len(pk)), pk, strict=True)
        },
        "integrity_survivor_fp": SQL("CAST(NULL AS bigint)"),
        "integrity_at": SQL("CURRENT_TIMESTAMP"),
    }
    return _make(
        "quarantine",
        table,
        shape,
        columns(names, of="t"),
        extra,
        latest=latest,
        apps=apps,
        catalogue=catalogue,
        using=using,
    )


def changes_of(table: str, column: str, *, kind: str, apps: Apps, using: str, catalogue: Catalogue) -> str:
    """Return the name of the side table that keeps the values changed in one column, made if it is not there.

    ``kind`` is ``REPOINTED`` or ``FILLED``: an undo takes back the one after the rows are back, the other before.
    """
    pk = catalogue.primary_key(table)
    shape = _shape(table, (*pk, column), catalogue=catalogue)
    sides = list(side_tables_of(table, kind=kind, apps=apps, using=using))
    for known in sides:
        if known.columns == shape and _has(known, ("old", "new"), catalogue=catalogue):
            return str(known.name)
    extra = {
        **dict.fromkeys(_OF_THE_RUN, SQL("CAST(NULL AS bigint)")),
        "old": compose("t.{column}", column=column),
        "new": compose("t.{column}", column=column),
        "integrity_at": SQL("CURRENT_TIMESTAMP"),
    }
    keys = joined(", ", (f"t.{identifier(own)} AS pk{n}" for n, own in enumerate(pk, 1)))
    latest = sides[0] if sides else None
    return _make(kind, table, shape, keys, extra, latest=latest, apps=apps, catalogue=catalogue, using=using)


def side_tables_of(table: str, *, kind: str, apps: Apps, using: str) -> Any:
    """The register's entries for a table, newest generation first."""
    return book("SideTable", apps=apps, using=using).filter(kind=kind, table=table).order_by("-generation")


def is_like_its_table(quarantine: Any, *, using: str) -> bool:
    """Whether the table still has the columns and types that its quarantine was made with."""
    catalogue = get_catalogue(using=using)
    names = tuple(c.name for c in catalogue.columns(quarantine.table) if not c.generated)
    return bool(quarantine.columns == _shape(quarantine.table, names, catalogue=catalogue))


def require_there(side: Any, *, using: str) -> None:
    """Check that a side table of the register is in the database.

    Raises:
        SideTableGone: it is not.
    """
    if not get_catalogue(using=using).columns(side.name):
        forget = compose("DELETE FROM {register} WHERE name = ", register=type(side)._meta.db_table)
        raise SideTableGone(
            f"Table {side.name!r}, which kept what runs took from {side.table!r}, is not in database {using!r}: it was "
            "dropped, or a backup was restored without it. Restore it from a backup; or, if it is lost for good, let "
            f"it be forgotten with all that it kept: {forget % ()}{literal(side.name) % ()};"
        )


def _has(side: Any, names: Sequence[str], *, catalogue: Catalogue) -> bool:
    return set(names) <= {column.name for column in catalogue.columns(side.name)}


def _shape(table: str, names: Sequence[str], *, catalogue: Catalogue) -> list[list[str]]:
    types = {c.name: c.type for c in catalogue.columns(table)}
    return [[name, types[name]] for name in names]


def _make(
    kind: str,
    table: str,
    shape: list[list[str]],
    own: SQL,
    extra: dict[str, SQL],
    *,
    latest: Any,
    apps: Apps,
    catalogue: Catalogue,
    using: str,
) -> str:
    generation = latest.generation + 1 if latest is not None else 1
    there = catalogue.tables()
    # Books from an older backup do not know what was made after it; its rows may be the only ones.
    while (name := own_name(f"integrity_{kind}", table, str(generation), room=2)) in there:
        generation += 1
    rows = get_rows(using=using)
    values = joined(", ", (f"{value} AS {identifier(key)}" for key, value in extra.items()))
    rows.create_as(
        name,
        Query(sql=compose("SELECT {own}, {values} FROM {table} AS t WHERE 1 = 0", own=own, values=values, table=table)),
    )
    rows.execute(
        compose(
            "CREATE INDEX {index} ON {name} (integrity_run, integrity_unit)",
            index=f"{name}_r",
            name=name,
        )
    )
    book("SideTable", apps=apps, using=using).create(
        kind=kind, table=table, name=name, generation=generation, columns=shape
    )
    return name
