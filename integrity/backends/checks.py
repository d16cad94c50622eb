"""The check constraints of a database: their names, tables and rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connections

from integrity.backends import get_rows
from integrity.backends.sql import SQL
from integrity.backends.sqlite.ddl import tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check constraint; without a name of its own, SQLite calls it by its rule."""

    name: str
    table: str
    rule: str
    """What stands between the parentheses, as the database writes it."""
    columns: tuple[str, ...] = ()
    """The columns that it looks at, where the database tells (PostgreSQL)."""


def find_checks(*, using: str) -> list[Check]:
    """Return the check constraints of all tables; on PostgreSQL, those on the search path."""
    if connections[using].vendor == "postgresql":
        return [Check(name=n, table=t, rule=r, columns=tuple(c or ())) for n, t, r, c in _of_postgresql(using)]
    statements = get_rows(using=using).fetch(
        SQL("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL ORDER BY name")
    )
    return [check for table, statement in statements for check in checks_in(statement, table=table)]


def checks_in(statement: str, *, table: str) -> Iterator[Check]:
    """Yield the check constraints of a CREATE TABLE as SQLite keeps it."""
    pieces = [piece for piece in tokens(statement) if not piece.startswith(("--", "/*"))]
    words = [(place, piece) for place, piece in enumerate(pieces) if not piece.isspace()]
    for number, (_, word) in enumerate(words):
        if word.upper() != "CHECK" or words[number + 1 : number + 2] == [] or words[number + 1][1] != "(":
            continue
        rule = _within(pieces, words[number + 1][0])
        named = number > 1 and words[number - 2][1].upper() == "CONSTRAINT"
        yield Check(name=words[number - 1][1].strip("\"'`[]") if named else rule, table=table, rule=rule)


def _within(pieces: list[str], start: int) -> str:
    """Return the text between the parenthesis at ``start`` and the one that closes it."""
    depth = 0
    for place in range(start, len(pieces)):
        depth += {"(": 1, ")": -1}.get(pieces[place], 0)
        if depth == 0:
            return "".join(pieces[start + 1 : place]).strip()
    return "".join(pieces[start + 1 :]).strip()


def _of_postgresql(using: str) -> list[tuple[str, str, str, list[str] | None]]:
    return get_rows(using=using).fetch(
        SQL("""
            SELECT con.conname::text, rel.relname::text, pg_get_expr(con.conbin, con.conrelid),
                   ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
                         WHERE a.attrelid = con.conrelid AND a.attnum = ANY(con.conkey) ORDER BY a.attnum)
            FROM pg_catalog.pg_constraint AS con JOIN pg_catalog.pg_class AS rel ON rel.oid = con.conrelid
            WHERE con.contype = 'c' AND pg_catalog.pg_table_is_visible(con.conrelid)
            ORDER BY 1, 2
        """)
    )
