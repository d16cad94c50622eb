"""What a line of a log means in a database: which constraint, which rows, and whether its ids are what they seem."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from integrity.backends import Catalogue, ForeignKey, get_audit_queries, get_catalogue
from integrity.backends.diagnosis import rows_with, storage_classes
from integrity.backends.postgresql.violations import key_of
from integrity.dedupe.advice import command_for
from integrity.exceptions import IntegrityAppError
from integrity.writes.recognition import Recognized, recognize

_FLOAT_ID = "'float' object has no attribute 'replace'"
_FOREIGN_KEY = "FOREIGN KEY constraint failed"
_ID = re.compile(r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b", re.IGNORECASE)
_LIKE_A_NUMBER = re.compile(r"[0-9]+(e[0-9]+)?", re.IGNORECASE)
_SHOWN = 5


class NothingRecognized(IntegrityAppError):
    """The text names nothing that the database has."""


@dataclass(frozen=True, kw_only=True)
class UnsafeColumn:
    """A column whose declared type changes ids, and how its values are stored: counts by storage class."""

    table: str
    name: str
    type: str
    classes: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What the text is about, what is in the database now, and what that means."""

    table: str
    constraint: str
    columns: tuple[str, ...]
    key: dict[str, str]
    """The values of the text; empty where it tells none."""
    rows: tuple[str, ...]
    """Primary keys of rows that have them now."""
    unsafe: tuple[UnsafeColumn, ...]
    numeric_ids: tuple[str, ...]
    """Ids of the text that look like numbers."""
    cause: str
    advice: str


def diagnose(*, text: str, using: str) -> Diagnosis:
    """Say what an error in a log or a traceback means in this database. Reads only.

    Raises:
        NothingRecognized: no constraint, index or table of the database is named in it.
    """
    catalogue = get_catalogue(using=using)
    violated = recognize(text, catalogue, using=using)
    unsafe = tuple(_unsafe(violated, catalogue, text, using))
    if violated is None and not unsafe and _FOREIGN_KEY in text:
        raise NothingRecognized(
            "SQLite does not tell which foreign key failed. Give the text with the statement that failed, or write "
            "with integrity.writes.upsert, which names the row."
        )
    if violated is None and not unsafe:
        raise NothingRecognized(
            f"The text names no constraint, index or column of database {using!r}. Give the whole message (with "
            "PostgreSQL's DETAIL line), and check that --database is the one it came from."
        )
    violated = violated or Recognized(table=unsafe[0].table, columns=(unsafe[0].name,))
    key = _key(text, violated)
    rows = _rows(violated, key, catalogue, using)
    numeric = tuple(dict.fromkeys(found for found in _ID.findall(text) if _looks_like_a_number(found)))
    cause, advice = _cause(violated, key, rows, unsafe, numeric, using=using)
    return Diagnosis(
        table=violated.table,
        constraint=violated.constraint,
        columns=violated.columns,
        key=key,
        rows=rows,
        unsafe=unsafe,
        numeric_ids=numeric,
        cause=cause,
        advice=advice,
    )


def _unsafe(violated: Recognized | None, catalogue: Catalogue, text: str, using: str) -> Iterator[UnsafeColumn]:
    """The columns that change ids: of the table in question, or of all where SQLite names none."""
    unnamed = _FLOAT_ID in text or _FOREIGN_KEY in text
    tables = [violated.table] if violated else (sorted(catalogue.tables()) if unnamed else [])
    queries = get_audit_queries(using=using)
    for table in tables:
        ids = set(catalogue.primary_key(table)) | {c for k in catalogue.foreign_keys(table) for c in k.columns}
        for column in catalogue.columns(table):
            if column.name in ids and column.type.upper().startswith("UUID") and queries.converts_ids(column.type):
                classes = storage_classes(table=table, name=column.name, using=using)
                yield UnsafeColumn(table=table, name=column.name, type=column.type, classes=classes)


def _key(text: str, violated: Recognized) -> dict[str, str]:
    names, values = key_of(text.partition("DETAIL")[2].partition("\n")[0] or text.replace("\n", " "))
    known = {*violated.columns, *(violated.foreign.target_columns if violated.foreign else ())}
    fits = violated.computed or set(names) <= known
    return dict(zip(names, values, strict=True)) if values and fits else {}


def _rows(violated: Recognized, key: dict[str, str], catalogue: Catalogue, using: str) -> tuple[str, ...]:
    """Of a foreign key: the row that is pointed at, or the rows that point at one that was to go."""
    table, foreign = violated.table, violated.foreign
    if foreign and not _is_pointed_at(key, foreign):
        table, key = foreign.target_table, _translated(key, foreign.columns, foreign.target_columns)
    elif foreign:
        key = _translated(key, foreign.target_columns, foreign.columns)
    pk = catalogue.primary_key(table)
    if not key or not pk or violated.computed or not (violated.unique or foreign):
        return ()
    types = {column.name: column.type for column in catalogue.columns(table)}
    found = rows_with(table=table, pk=pk, key=key, types=types, limit=_SHOWN, using=using)
    return tuple(", ".join(map(str, row)) for row in found)


def _is_pointed_at(key: dict[str, str], foreign: ForeignKey) -> bool:
    """Whether the key is that of a row which others point at: it was to go. Else it is that of one which points."""
    return bool(key) and not set(key) <= set(foreign.columns)


def _translated(key: dict[str, str], names: tuple[str, ...], others: tuple[str, ...]) -> dict[str, str]:
    return {other: key[name] for name, other in zip(names, others, strict=False) if name in key}


def _looks_like_a_number(identifier: str) -> bool:
    return _LIKE_A_NUMBER.fullmatch(identifier.replace("-", "")) is not None


def _cause(
    violated: Recognized,
    key: dict[str, str],
    rows: tuple[str, ...],
    unsafe: tuple[UnsafeColumn, ...],
    numeric: tuple[str, ...],
    *,
    using: str,
) -> tuple[str, str]:
    where = f"{violated.table} ({', '.join(violated.columns) or 'columns unknown'})"
    if unsafe and not violated.rule:
        names = ", ".join(f"{column.table}.{column.name}" for column in unsafe)
        quoted = f" So do these of the text: {', '.join(numeric)}." if numeric else ""
        return (
            f"These ids look like numbers in a NUMERIC column. {names}: declared {unsafe[0].type}, which SQLite gives "
            "NUMERIC affinity. An id of 32 hex digits that is all digits, or digits around one e, is stored as a "
            "number; most with an e overflow to Inf, and two Inf are one value: that is the duplicate. The ids "
            f"themselves are different, and whatever made them is innocent.{quoted}",
            "Repair the columns with the migration operation RepairIdStorage, then write again.",
        )
    if violated.rule:
        return f"The check constraint of {where} demands: {violated.rule}", "Correct the value that breaks it."
    if violated.foreign:
        return _cause_of_reference(violated.foreign, where, key, rows, using=using)
    if not violated.unique:
        return f"A constraint of {where} rejected the row.", "Correct the row; the text says which value is wrong."
    if rows:
        return (
            f"Another row has this key: {where}.",
            "Write with integrity.writes.upsert, which changes the row that is there instead of adding one.",
        )
    if key and violated.computed:
        return (
            f"Another row had this key, a part of which is computed: {where}.",
            "Write with integrity.writes.upsert, which changes the row that is there instead of adding one.",
        )
    if key:
        return (
            f"Nobody has this key now: {where}. Who had it is gone, or was never committed: two writers raced.",
            "Write again, with integrity.writes.upsert, to which a lost race is no error.",
        )
    return (
        f"Another row had the key: {where}. The text does not tell its values.",
        "Write with integrity.writes.upsert; on PostgreSQL the DETAIL line tells the values.",
    )


def _cause_of_reference(
    foreign: ForeignKey, where: str, key: dict[str, str], rows: tuple[str, ...], *, using: str
) -> tuple[str, str]:
    target = foreign.target_table
    if not key:
        return (
            f"A foreign key of {where} leads to {target}. A row there was missing, or was to go and is pointed at.",
            f"Store the row of {target} first, or remove what points at it; PostgreSQL's DETAIL line tells the values.",
        )
    if _is_pointed_at(key, foreign):
        held = "Rows point" if rows else "Rows pointed, and none does now,"
        return f"{held} at the row of {target} that was to go: {where}.", "Remove or repoint these rows first."
    if rows:
        return (
            f"The row of {target} that {where} points at was not there yet. Now it is: it was written, or committed, "
            "later.",
            f"Write again, and the row of {target} first.",
        )
    return (
        f"The row of {target} that {where} points at is not there.",
        f"Store the row of {target} first, or correct what points at it. If a run has removed it, this names the row "
        f"that stands for it: {command_for(f'where_is ID --table {target}', using=using)}",
    )
