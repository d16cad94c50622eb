"""Composing SQL text from a constant template, identifiers and other composed parts; values stay parameters.

Identifiers are quoted as Django quotes them on both databases, ``schema"."table`` and ``"schema"."table"`` included;
other quotes inside one are doubled. Every statement is executed with a parameter sequence, so a percent sign inside one
is doubled too.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID


class SQL(str):
    """Text that is safe to stand in a statement: composed here, or a constant of the code."""

    __slots__ = ()


NOTHING = SQL("")


def identifier(name: str) -> SQL:
    """Quote one identifier; Django leaves one alone that has quotes at both ends."""
    name = name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name
    parts = name.replace("%", "%%").split('"."')
    return SQL('"' + '"."'.join(part.replace('"', '""') for part in parts) + '"')


def as_value(name: SQL) -> str:
    """A composed name as the value of a parameter, as ``to_regclass`` and the catalogue take it."""
    return name % ()


def relation(name: str) -> str:
    """The same of the name of a table or index."""
    return as_value(identifier(name))


def literal(text: str) -> SQL:
    """Quote a text where no parameter can stand, as in COMMENT and CREATE FUNCTION."""
    return SQL("'" + text.replace("'", "''").replace("%", "%%") + "'")


def catalogued(sql: str | None) -> SQL:
    """The database's own words, such as an index's expression, made fit for a statement with parameters."""
    return SQL((sql or "").replace("%", "%%"))


def columns(names: Iterable[str], *, of: str = "") -> SQL:
    """A comma-separated list of quoted columns, each of the relation ``of`` where one is named."""
    prefix = identifier(of) + "." if of else ""
    return SQL(", ".join(prefix + identifier(name) for name in names))


def compose(template: str, /, **parts: str | SQL) -> SQL:
    """Fill ``{name}`` in the template: an ``SQL`` stands as it is, any other text is quoted as an identifier."""
    return SQL(
        template.format(**{key: part if isinstance(part, SQL) else identifier(part) for key, part in parts.items()})
    )


def joined(separator: str, parts: Iterable[str]) -> SQL:
    """Join composed parts with a constant separator."""
    return SQL(separator.join(parts))


def on(left: str, left_columns: Iterable[str], right: str, right_columns: Iterable[str], *, same: str = "=") -> SQL:
    """``left.a = right.x AND left.b = right.y``: a join condition, column by column."""
    return joined(
        " AND ",
        (
            compose("{left}.{a} {same} {right}.{x}", left=left, a=a, right=right, x=x, same=SQL(same))
            for a, x in zip(left_columns, right_columns, strict=True)
        ),
    )


def array(values: Iterable[int | UUID]) -> str:
    """An array parameter, as text, to be cast by the statement: psycopg would look at each value by itself."""
    return "{" + ",".join([value.hex if isinstance(value, UUID) else str(value) for value in values]) + "}"


def coalesce(*parts: str) -> SQL:
    """The first of these that is not NULL; SQLite's own COALESCE wants at least two."""
    return SQL(parts[0]) if len(parts) == 1 else SQL(f"COALESCE({', '.join(parts)})")


def numbered(letter: str, count: int) -> tuple[str, ...]:
    """``("p1", "p2")``: the names of a stage's columns."""
    return tuple(f"{letter}{n}" for n in range(1, count + 1))
