"""Tables that the engine can treat: their rows are their own, all in sight, and told apart by a primary key."""

from __future__ import annotations

import re
from typing import Final

from integrity.backends import Catalogue
from integrity.exceptions import IntegrityAppError

_OURS: Final = re.compile(
    r"integrity_(run|unit|group|grp|reason|at|fp|pos|place|moved|survivor_(\d+|fp)|[pks]\d+)", re.IGNORECASE
)
"""Names that our own columns have beside those of a table, in its quarantine and in what is asked about its rows."""


class NoPrimaryKey(IntegrityAppError):
    """A table without a primary key: its rows cannot be told apart."""


class UntreatableTable(IntegrityAppError):
    """A table whose rows cannot be removed or repointed without losing anything."""


def primary_key_of(table: str, *, catalogue: Catalogue, references: str = "") -> tuple[str, ...]:
    """Return the columns of the primary key of a table that can be treated; ``references`` is why it is to be.

    Raises:
        UntreatableTable: it is a view, shows the rows of other tables, hides some of its own, computes their keys, or
            has a column that is called as one of ours beside them.
        NoPrimaryKey: it has none.
    """
    named = f"Table {table!r}" + (f", which references {references!r}," if references else "")
    if hindrance := catalogue.hindrance(table):
        raise UntreatableTable(f"{named} {hindrance}")
    columns = catalogue.columns(table)
    if ours := [c.name for c in columns if _OURS.fullmatch(c.name)]:
        raise UntreatableTable(
            f"{named} has a column {ours[0]!r}, as its quarantine has one of its own. Rename it first."
        )
    if pk := catalogue.primary_key(table):
        if computed := [c.name for c in columns if c.generated and c.name in pk]:
            raise UntreatableTable(f"{named} computes its primary key ({', '.join(computed)}): no row could come back.")
        return pk
    raise NoPrimaryKey(f"{named} has no primary key, so its rows cannot be told apart. Add one first.")
