"""Why one row stays and not the next best: the first ordering of the rule that tells the two apart, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db.models import F, Q

from integrity.dedupe.abbreviation import size_of
from integrity.dedupe.target import Target

NEXT = "the next best row"


def reason_to_stay(
    target: Target,
    *,
    orders: tuple[Sequence[Any], Sequence[Any]],
    rows: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> str:
    """Return the reason in words.

    Args:
        target: the rule, brought to its database.
        orders: what the rule's orderings (``o1..on``: completeness first) gave for the survivor and the next row.
        rows: the columns of the two.
    """
    (tier, *mine), (other_tier, *theirs) = orders
    if tier != other_tier:
        return _complete(target, int(tier), rows)
    words = [keep for keep in target.rule.keep for _ in keep.order_by(target)]
    for keep, own, other in zip(words, mine, theirs, strict=True):
        if own != other:
            column = _column(target, getattr(keep, "field", ""))
            own, other = (row[column] for row in rows) if column else (own, other)
            return f"{keep.why}: {size_of(own)}; {NEXT} has {size_of(other)}"
    return "all else is equal: smallest primary key"


def _complete(target: Target, tier: int, rows: tuple[Mapping[str, Any], Mapping[str, Any]]) -> str:
    """The survivor meets the rule's condition number ``tier``, the next row does not."""
    names = dict.fromkeys(_fields_of(target.rule.complete[tier]))
    columns = [column for column in (_column(target, name) for name in names) if column]
    mine, theirs = (", ".join(f"{column} is {size_of(row[column])}" for column in columns) for row in rows)
    return f"complete: {mine}; {NEXT} is not: {theirs}"


def _column(target: Target, name: str) -> str:
    """The column of a field of the table itself; empty for anything else."""
    return next((f.column for f in target.model._meta.concrete_fields if name in (f.name, f.attname)), "")


def _fields_of(condition: Any) -> Iterator[str]:
    """Names of the fields that a condition speaks of."""
    if isinstance(condition, F):
        yield condition.name  # type: ignore[attr-defined]  # its stub forgets it
    elif isinstance(condition, tuple):
        yield str(condition[0]).partition("__")[0]
    else:
        parts = condition.children if isinstance(condition, Q) else getattr(condition, "get_source_expressions", list)()
        for part in parts:
            yield from _fields_of(part)
