"""Spans: units that follow one another and are treated in one batch."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]
"""Units from (excluding the first, including the last)."""


def spans_of(units: Iterable[int], *, most: int) -> list[Span]:
    """The spans, of ``most`` units each, that hold these units and no others; the units come in ascending order."""
    spans: list[Span] = []
    for unit in units:
        low, high = spans[-1] if spans else (unit, unit)
        if unit == high + 1 and unit - low <= most:
            spans[-1] = (low, unit)
        else:
            spans.append((unit - 1, unit))
    return spans
