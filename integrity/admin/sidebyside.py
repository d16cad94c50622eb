"""A duplicate group turned the way a page shows it: one column for each row of the table, one line for each field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from integrity.dedupe import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One column of the table, with its value in each row of the group."""

    name: str
    differs: bool
    values: tuple[str | None, ...]


def side_by_side(group: Group) -> dict[str, Any]:
    """Return what the template ``side_by_side.html`` needs."""
    return {
        "group": group,
        "lines": tuple(
            Line(name=name, differs=name in group.differing, values=tuple(m.values[n] for m in group.members))
            for n, name in enumerate(group.columns)
        ),
        "has_distance": any(member.distance is not None for member in group.members),
        "hidden": group.size - len(group.members) - len(group.gone),
    }
