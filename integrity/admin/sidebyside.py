"""A duplicate group turned the way a page shows it: one column for each row of the table, one line for each field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from integrity.admin.cells import link_to
from integrity.dedupe import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One column of the table, with its value in each row of the group."""

    name: str
    differs: bool
    values: tuple[str | SafeString | None, ...]


def side_by_side(group: Group, model: Any, *, site: str, withheld: int = 0) -> dict[str, Any]:
    """Return what the template ``side_by_side.html`` needs; primary key and references become links.

    ``withheld`` rows of the group have been left out of it, since the user may not see them.
    """
    targets = {field.column: field.related_model or model for field in model._meta.concrete_fields if _leads(field)}
    lines = []
    for n, name in enumerate(group.columns):
        values = tuple(member.values[n] for member in group.members)
        if name in targets:
            values = tuple(value and link_to(targets[name], value, site=site) for value in values)
        lines.append(Line(name=name, differs=name in group.differing, values=values))
    return {
        "group": group,
        "lines": lines,
        "has_distance": any(member.distance is not None for member in group.members),
        "hidden": group.size - len(group.members) - len(group.gone) - withheld,
        "withheld": withheld,
    }


def _leads(field: Any) -> bool:
    """Whether a field's value is the primary key of a row that has a page."""
    return bool(field.primary_key or (field.many_to_one and field.target_field.primary_key))
