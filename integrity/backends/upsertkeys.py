"""The keys of an upsert's rows, as SQL: among each other, and against the table."""

from __future__ import annotations

from integrity.backends.sql import SQL, compose, identifier, joined
from integrity.backends.statements import Query
from integrity.backends.upsertplan import UpsertPlan


def keyed(plan: UpsertPlan, source: Query) -> SQL:
    """A sub-select of each row's key, clock and position among the rows of its key."""
    return compose(
        """
        (SELECT {named_key}, {newer} AS integrity_newer,
                ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {newest_first}) AS integrity_pos
         FROM {source} AS s)
        """,
        named_key=joined(", ", (f"{part} AS {identifier(name)}" for part, name in zip(plan.key, plan.k, strict=True))),
        newer=SQL("NULL") if plan.newer is None else identifier(plan.newer),
        key=joined(", ", plan.key),
        newest_first=plan.newest_first,
        source=source.sql,
    )


def same_key(plan: UpsertPlan) -> SQL:
    """Join condition of ``keyed`` rows ``s`` and the table's rows ``t``, which an index can serve."""
    template = (
        "{part} = s.{name}" if plan.nulls_distinct else "({part} = s.{name} OR ({part} IS NULL AND s.{name} IS NULL))"
    )
    tests = [compose(template, part=SQL(part), name=name) for part, name in zip(plan.key, plan.k, strict=True)]
    if plan.condition is not None:
        tests.append(SQL(f"({plan.condition})"))
    return joined(" AND ", tests)
