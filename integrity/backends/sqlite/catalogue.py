"""What SQLite's own tables and PRAGMAs say of a database."""

from __future__ import annotations

import re
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.base import VIEW, Column, ForeignKey, Index
from integrity.backends.sql import compose

_ON = re.compile(r"""\bON\s+(?:"(?:[^"]|"")*"|\[[^\]]*\]|`[^`]*`|\w+)\s*\(""", re.IGNORECASE)
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\[[^\]]*\]|`[^`]*`|[(),]""")
_ORDER = re.compile(r"\s+(?:ASC|DESC)$", re.IGNORECASE)
_BINARY = "BINARY"
_WORD = re.compile(r'''(?!(?:NULL|TRUE|FALSE|CURRENT_\w+)$)([^\W\d][\w$]*)|"([^"]*)"''', re.IGNORECASE)
_WHERE = re.compile(r"\s*WHERE\s+(?P<predicate>.+)$", re.IGNORECASE | re.DOTALL)


class SQLiteCatalogue:
    """Answers from ``sqlite_master`` and the table-valued PRAGMA functions (SQLite 3.16 and later)."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection

    def _rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())

    def tables(self) -> frozenset[str]:
        rows = self._rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%%'")
        return frozenset(name for (name,) in rows)

    def name_of(self, table: str) -> str:
        found = self._rows("SELECT name FROM sqlite_master WHERE type = 'table' AND LOWER(name) = LOWER(%s)", table)
        return str(found[0][0]) if found else table

    def columns(self, table: str) -> tuple[Column, ...]:
        # `hidden` is 2 or 3 for generated columns; 1 marks the hidden columns of virtual tables.
        rows = self._rows(
            """SELECT name, type, "notnull", dflt_value, hidden FROM pragma_table_xinfo(%s) WHERE hidden <> 1""",
            table,
        )
        return tuple(
            Column(name=name, type=kind, nullable=not not_null, default=_default(default), generated=hidden in (2, 3))
            for name, kind, not_null, default, hidden in rows
        )

    def primary_key(self, table: str) -> tuple[str, ...]:
        return tuple(n for (n,) in self._rows("SELECT name FROM pragma_table_info(%s) WHERE pk > 0 ORDER BY pk", table))

    def indexes(self, table: str) -> tuple[Index, ...]:
        rows = self._rows(
            """
            SELECT l.name, l."unique", l.origin, COALESCE(m.sql, '')
            FROM pragma_index_list(%s) AS l LEFT JOIN sqlite_master AS m ON m.type = 'index' AND m.name = l.name
            ORDER BY l.name
            """,
            table,
        )
        found = [self._index(name, bool(unique), origin, sql) for name, unique, origin, sql in rows]
        key = self.primary_key(table)
        if key and not any(index.primary for index in found):  # INTEGER PRIMARY KEY is the rowid: no index is listed
            found.append(_of_rowid(key))
        return tuple(found)

    def _index(self, name: str, unique: bool, origin: str, sql: str) -> Index:
        parts = self._rows("SELECT name, coll FROM pragma_index_xinfo(%s) WHERE key ORDER BY seqno", name)
        names = tuple(column for column, _ in parts)
        texts = _keys(sql) if None in names else ("",) * len(parts)
        return Index(
            name=name,
            columns=names,
            keys=tuple(_key(name, coll, text) for (name, coll), text in zip(parts, texts, strict=True)),
            collations=tuple(collation for _, collation in parts),
            unique=unique,
            primary=origin == "pk",
            predicate=_predicate(sql),
            constraint=origin in ("u", "pk"),
            definition=sql,
        )

    def foreign_keys(self, table: str) -> tuple[ForeignKey, ...]:
        rows = self._rows(
            """SELECT id, "table", "from", "to", on_delete FROM pragma_foreign_key_list(%s) ORDER BY id, seq""", table
        )
        by_id: dict[int, list[tuple[Any, ...]]] = {}
        for number, *rest in rows:
            by_id.setdefault(number, []).append(tuple(rest))
        return tuple(self._foreign_key(table, parts) for parts in by_id.values())

    def _foreign_key(self, table: str, parts: list[tuple[Any, ...]]) -> ForeignKey:
        target = parts[0][0]
        # `REFERENCES parent` without columns means the parent's primary key; the PRAGMA then says NULL.
        target_columns = tuple(p[2] for p in parts)
        if None in target_columns:
            target_columns = self.primary_key(target)
        return ForeignKey(
            name=None,
            table=table,
            columns=tuple(p[1] for p in parts),
            target_table=target,
            target_columns=target_columns,
            on_delete=parts[0][3],
            deferrable=True,  # for one transaction, by PRAGMA defer_foreign_keys, whatever it was declared
        )

    def referencing(self, table: str) -> tuple[ForeignKey, ...]:
        rows = self._rows(
            """
            SELECT DISTINCT m.name FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f
            WHERE m.type = 'table' AND LOWER(f."table") = LOWER(%s) ORDER BY m.name
            """,
            table,
        )
        return tuple(
            key for (other,) in rows for key in self.foreign_keys(other) if key.target_table.lower() == table.lower()
        )

    def triggers(self, table: str) -> tuple[str, ...]:
        made = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND LOWER(tbl_name) = LOWER(%s) ORDER BY name"
        return tuple(name for (name,) in self._rows(made, table))

    def hindrance(self, table: str) -> str:
        views = self._rows("SELECT 1 FROM sqlite_master WHERE type = 'view' AND LOWER(name) = LOWER(%s)", table)
        return VIEW if views else ""

    def row_estimate(self, table: str) -> int:
        return int(self._rows(compose("SELECT COUNT(*) FROM {table}", table=table))[0][0])


def _of_rowid(key: tuple[str, ...]) -> Index:
    return Index(
        name="",
        columns=key,
        keys=tuple(_key(column, _BINARY, "") for column in key),
        collations=(_BINARY,) * len(key),
        unique=True,
        primary=True,
        constraint=True,
    )


def _key(column: str | None, collation: str, text: str) -> str:
    """A part of a key; its collation is its column's, of which an expression made of it knows nothing."""
    if column is None:
        return text
    quoted = '"' + column.replace('"', '""') + '"'
    return quoted if collation == _BINARY else f"{quoted} COLLATE {collation}"


def _default(written: str | None) -> str | None:
    """An expression; where it is a mere word, SQLite takes that for a text, as it does a text in double quotes."""
    word = _WORD.fullmatch(written or "")
    return "'{}'".format((word[1] or word[2]).replace("'", "''")) if word else written


def _predicate(sql: str) -> str | None:
    """What follows WHERE after the key's closing parenthesis."""
    _, end = _key_list(sql)
    found = _WHERE.match(sql, end)
    return found["predicate"].strip() if found else None


def _keys(sql: str) -> tuple[str, ...]:
    """The parts of an index's key: SQLite keeps the text of CREATE INDEX and nothing finer."""
    parts, _ = _key_list(sql)
    return tuple(_ORDER.sub("", part.strip()) for part in parts)


def _key_list(sql: str) -> tuple[list[str], int]:
    """The text between the outer parentheses, split at its own commas, and where it ends."""
    start = _ON.search(sql)
    if start is None:
        return [], len(sql)
    parts, depth, begin = [], 1, start.end()
    for token in _TOKEN.finditer(sql, start.end()):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0 or (depth == 1 and token[0] == ","):
            parts.append(sql[begin : token.start()])
            begin = token.end()
        if depth == 0:
            return parts, token.end()
    return parts, len(sql)
