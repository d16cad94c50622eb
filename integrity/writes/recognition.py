"""Which constraint a line of a log is about: found by the names that the database has, in whatever language.

PostgreSQL writes in its server's language, and puts names in quotes in each of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from integrity.backends import Catalogue, ForeignKey, Index
from integrity.backends.checks import Check, find_checks

_SQLITE = re.compile(
    r"(?P<kind>UNIQUE|NOT NULL) constraint failed: (?P<names>\S+\.\S+?(?:, \S+\.\S+?)*)(?=[\s\"')\]]|$)"
)
_SQLITE_CHECK = re.compile(r"CHECK constraint failed: (?P<said>[^\n]+)")
_QUOTED = re.compile(r"""["'`«»‹›“”„‘’「](?P<name>[\w$]+)["'`«»‹›“”„‘’」]""")
_STATEMENT = re.compile(r"\b(?:INTO|UPDATE|DELETE FROM)\s+[\"`\[]?(?P<name>[\w$]+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Recognized:
    """What the text is about; at most one of ``unique``, ``foreign`` and ``rule`` tells its kind."""

    table: str
    columns: tuple[str, ...]
    constraint: str = ""
    unique: bool = False
    computed: bool = False
    """Whether a part of the unique key is an expression, by which no row can be looked for."""
    foreign: ForeignKey | None = None
    rule: str = ""
    """What a check constraint demands."""


def recognize(text: str, catalogue: Catalogue, *, using: str) -> Recognized | None:
    """Return what the text is about, or None where it names nothing that the database has."""
    words = set(re.findall(r"[\w$]+", text))
    return (
        _by_columns(text, catalogue)
        or _by_constraint(words, catalogue)
        or _by_check(text, words, find_checks(using=using))
        or _by_table(text, words, catalogue)
    )


def _by_columns(text: str, catalogue: Catalogue) -> Recognized | None:
    """``UNIQUE constraint failed: a.b, a.c``, as SQLite says it."""
    found = _SQLITE.search(text)
    if found is None:
        return None
    parts = [name.rpartition(".") for name in found["names"].split(", ")]
    table, names = parts[0][0].strip("\"'`"), tuple(name.strip("\"'`") for _, _, name in parts)
    if table not in catalogue.tables():
        return None
    index = next((i for i in catalogue.indexes(table) if i.unique and i.columns == names), None)
    unique = found["kind"] == "UNIQUE"
    return Recognized(table=table, columns=names, constraint=_name_of(index) if unique else "", unique=unique)


def _by_constraint(words: set[str], catalogue: Catalogue) -> Recognized | None:
    for table in sorted(catalogue.tables()):
        for index in catalogue.indexes(table):
            if index.unique and index.name in words:
                plain = tuple(name for name in index.columns if name is not None)
                computed = None in index.columns
                return Recognized(
                    table=table, columns=plain, constraint=_name_of(index), unique=True, computed=computed
                )
        for key in catalogue.foreign_keys(table):
            if key.name in words:
                return Recognized(table=table, columns=key.columns, constraint=key.name or "", foreign=key)
    return None


def _by_check(text: str, words: set[str], checks: list[Check]) -> Recognized | None:
    """By its name, or by its rule, as which SQLite names one that has no name."""
    failed = _SQLITE_CHECK.search(text)
    said = {failed["said"].strip(), failed["said"].strip(" \r\"'}])")} if failed else words
    named = [check for check in checks if check.name in said]
    named.sort(key=lambda check: check.table not in words)  # another table may have one of the same name
    if not named or (failed and len({check.table for check in named}) > 1 and named[0].table not in words):
        return None
    check = named[0]
    return Recognized(table=check.table, columns=check.columns, constraint=check.name, rule=check.rule)


def _by_table(text: str, words: set[str], catalogue: Catalogue) -> Recognized | None:
    """By a quoted name (a column's, perhaps, and then its table's), a statement's, or the only one there is."""
    if "constraint" not in text.lower():
        return None
    tables = catalogue.tables()
    quoted = [found["name"] for found in _QUOTED.finditer(text)]
    for place, table in enumerate(quoted):
        columns = {column.name for column in catalogue.columns(table)} if table in tables else set()
        if place and quoted[place - 1] in columns:
            return Recognized(table=table, columns=(quoted[place - 1],))
    named = [name for name in quoted if name in tables]
    named += [found["name"] for found in _STATEMENT.finditer(text) if found["name"] in tables]
    named += tables & words if len(tables & words) == 1 else ()
    return Recognized(table=named[0], columns=()) if named else None


def _name_of(index: Index | None) -> str:
    return "" if index is None else ("primary key" if index.primary else index.name)
