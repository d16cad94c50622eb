"""What a line of a log means in a database: which constraint, which rows, and whether its ids are what they seem.

PostgreSQL writes in its server's language, so what is looked for are the names that the database itself has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from integrity.backends import Catalogue, Index, get_audit_queries, get_catalogue
from integrity.backends.diagnosis import rows_with, storage_classes
from integrity.backends.postgresql.violations import key_of
from integrity.exceptions import IntegrityAppError

_SQLITE = re.compile(
    r"(?P<kind>UNIQUE|NOT NULL) constraint failed: (?P<names>\S+\.\S+?(?:, \S+\.\S+?)*)(?=[\s\"')\]]|$)"
)
_FLOAT_ID = "'float' object has no attribute 'replace'"
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


@dataclass(frozen=True, kw_only=True)
class _Violated:
    table: str
    columns: tuple[str, ...]
    constraint: str = ""
    unique: bool = True


def diagnose(*, text: str, using: str) -> Diagnosis:
    """Say what an error in a log or a traceback means in this database. Reads only.

    Raises:
        NothingRecognized: no constraint, index or table of the database is named in it.
    """
    catalogue = get_catalogue(using=using)
    violated = _violated(text, catalogue)
    unsafe = tuple(_unsafe(violated, catalogue, text, using))
    if violated is None and not unsafe:
        raise NothingRecognized(
            f"The text names no constraint, index or column of database {using!r}. Give the whole message (with "
            "PostgreSQL's DETAIL line), and check that --database is the one it came from."
        )
    violated = violated or _Violated(table=unsafe[0].table, columns=(unsafe[0].name,), unique=False)
    key = _key(text, violated)
    rows = _rows(violated, key, catalogue, using)
    numeric = tuple(dict.fromkeys(found for found in _ID.findall(text) if _looks_like_a_number(found)))
    cause, advice = _cause(violated, key, rows, unsafe, numeric)
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


def _violated(text: str, catalogue: Catalogue) -> _Violated | None:
    tables = catalogue.tables()
    if found := _SQLITE.search(text):
        parts = [name.rpartition(".") for name in found["names"].split(", ")]
        table, names = parts[0][0].strip("\"'`"), tuple(name.strip("\"'`") for _, _, name in parts)
        if table in tables:
            index = next((i for i in catalogue.indexes(table) if i.unique and i.columns == names), None)
            unique = found["kind"] == "UNIQUE"
            return _Violated(table=table, columns=names, constraint=_name_of(index) if unique else "", unique=unique)
    words = set(re.findall(r"[\w$]+", text))
    for table in sorted(tables):
        for index in catalogue.indexes(table):
            if index.unique and index.name in words:
                return _Violated(table=table, columns=_plain(index), constraint=_name_of(index))
        for key in catalogue.foreign_keys(table):
            if key.name in words:
                return _Violated(table=table, columns=key.columns, constraint=key.name or "", unique=False)
    named = sorted(tables & words)
    return _Violated(table=named[0], columns=(), unique=False) if named and "constraint" in text.lower() else None


def _name_of(index: Index | None) -> str:
    return "" if index is None else ("primary key" if index.primary else index.name)


def _plain(index: Index) -> tuple[str, ...]:
    return tuple(name for name in index.columns if name is not None)


def _unsafe(violated: _Violated | None, catalogue: Catalogue, text: str, using: str) -> Iterator[UnsafeColumn]:
    """The columns that change ids: of the table in question, or of all where an id came back as a number."""
    tables = [violated.table] if violated else (sorted(catalogue.tables()) if _FLOAT_ID in text else [])
    queries = get_audit_queries(using=using)
    for table in tables:
        ids = set(catalogue.primary_key(table)) | {c for k in catalogue.foreign_keys(table) for c in k.columns}
        for column in catalogue.columns(table):
            if column.name in ids and column.type.upper().startswith("UUID") and queries.converts_ids(column.type):
                classes = storage_classes(table=table, name=column.name, using=using)
                yield UnsafeColumn(table=table, name=column.name, type=column.type, classes=classes)


def _key(text: str, violated: _Violated) -> dict[str, str]:
    names, values = key_of(text.partition("DETAIL")[2].partition("\n")[0] or text.replace("\n", " "))
    return dict(zip(names, values, strict=True)) if values and set(names) <= set(violated.columns) else {}


def _rows(violated: _Violated, key: dict[str, str], catalogue: Catalogue, using: str) -> tuple[str, ...]:
    pk = catalogue.primary_key(violated.table)
    if not key or not pk or not violated.unique:
        return ()
    types = {column.name: column.type for column in catalogue.columns(violated.table)}
    found = rows_with(table=violated.table, pk=pk, key=key, types=types, limit=_SHOWN, using=using)
    return tuple(", ".join(map(str, row)) for row in found)


def _looks_like_a_number(identifier: str) -> bool:
    return _LIKE_A_NUMBER.fullmatch(identifier.replace("-", "")) is not None


def _cause(
    violated: _Violated,
    key: dict[str, str],
    rows: tuple[str, ...],
    unsafe: tuple[UnsafeColumn, ...],
    numeric: tuple[str, ...],
) -> tuple[str, str]:
    where = f"{violated.table} ({', '.join(violated.columns) or 'columns unknown'})"
    if unsafe:
        names = ", ".join(f"{column.table}.{column.name}" for column in unsafe)
        quoted = f" So do these of the text: {', '.join(numeric)}." if numeric else ""
        return (
            f"These ids look like numbers in a NUMERIC column. {names}: declared {unsafe[0].type}, which SQLite gives "
            "NUMERIC affinity. An id of 32 hex digits that is all digits, or digits around one e, is stored as a "
            "number; most with an e overflow to Inf, and two Inf are one value: that is the duplicate. The ids "
            f"themselves are different, and whatever made them is innocent.{quoted}",
            "Repair the columns with the migration operation RepairIdStorage, then write again.",
        )
    if not violated.unique:
        return f"A constraint of {where} rejected the row.", "Correct the row; the text says which value is wrong."
    if rows:
        return (
            f"Another row has this key: {where}.",
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
