"""Names for what we make beside somebody's tables, within what databases take."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

_LONGEST: Final = 63  # PostgreSQL's limit for identifiers, in bytes
GUARD: Final = "integrity_guard_"
"""How the guards of coming constraints begin: tables, functions and triggers."""

_BETWEEN: Final = '"."'


def own_name(prefix: str, table: str, *rest: str, room: int = 0) -> str:
    """``prefix_table_rest``, with ``room`` bytes to spare for an ending.

    Where it is cut short, or the table stands in a schema that is named, it ends in a mark of its own: another table
    would have the same name otherwise.
    """
    plain = "_".join((prefix, table.strip('"').replace(_BETWEEN, "_"), *rest))
    if _BETWEEN not in table and len(plain.encode()) <= _LONGEST - room:
        return plain
    mark = sha256("\n".join((prefix, table, *rest)).encode()).hexdigest()[:8]
    return f"{plain.encode()[: _LONGEST - room - 9].decode(errors='ignore')}_{mark}"
