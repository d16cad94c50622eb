"""The text of CREATE TABLE with other types for some columns, all else as its owner wrote it."""

from __future__ import annotations

import re
from collections.abc import Collection

from integrity.exceptions import IntegrityAppError

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|\s+|\w+|.""", re.DOTALL)
_QUOTED = ("'", '"', "`", "[", "--", "/*")
_AFTER_TYPE = {"CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES"}


class UnrepairableTable(IntegrityAppError):
    """A table cannot be rebuilt from the text of its CREATE TABLE."""


def tokens(statement: str) -> list[str]:
    """Split a statement into words, literals, quoted names, comments, spaces and single characters; all of it."""
    return _TOKEN.findall(statement)


def require_rowid(statement: str) -> None:
    """Check that the table of a CREATE TABLE numbers its rows, by which a repair knows them.

    Raises:
        UnrepairableTable: it does not.
    """
    pieces = (piece for piece in tokens(statement) if not piece.startswith(_QUOTED))
    if re.search(r"\bWITHOUT\s+ROWID\b", "".join(pieces), re.IGNORECASE):
        raise UnrepairableTable(
            f"A table WITHOUT ROWID cannot be repaired here: {statement[:80]}. Rebuild it without that, then run again."
        )


def with_types(statement: str, *, name: str, columns: Collection[str], kind: str) -> str:
    """Return CREATE TABLE for ``name`` with the type ``kind`` for these columns.

    Raises:
        UnrepairableTable: a column's definition was not found.
    """
    pieces = tokens(statement)
    start = pieces.index("(")
    wanted = {column.lower() for column in columns}
    out = [f'CREATE TABLE "{name}" (']
    depth, begins, skipping = 1, True, False
    for position in range(start + 1, len(pieces)):
        piece = pieces[position]
        word = piece.strip('"`[]').lower()
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if begins and depth == 1 and not piece.isspace() and not piece.startswith(("--", "/*")):
            begins, skipping = False, word in wanted
            out.append(piece)
            if skipping:
                wanted.discard(word)
                out.append(f" {kind} ")
            continue
        ends = (piece == "," and depth == 1) or depth == 0
        if ends or (depth == 1 and piece.upper() in _AFTER_TYPE):
            skipping = False
        begins = begins or (piece == "," and depth == 1)
        if not skipping:
            out.append(piece)
    if wanted:
        raise UnrepairableTable(f"No definition of {', '.join(sorted(wanted))} was found in: {statement[:200]}")
    return "".join(out)
