"""Does the database itself refuse a second row for a key?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from integrity.audits.context import AuditContext
from integrity.audits.expected import ExpectedConstraint, expected_constraint
from integrity.audits.finding import Finding, Level
from integrity.audits.registry import register
from integrity.audits.words import shown
from integrity.backends import Index

ABSENT, INVALID, DIFFERENT = "integrity.A010", "integrity.A011", "integrity.A012"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One way in which an index is not the constraint; a warning where it still refuses every duplicate."""

    level: Level
    words: str


@register("constraints", ABSENT, INVALID, DIFFERENT)
def constraints(context: AuditContext) -> Iterator[Finding]:
    """Which rules have no constraint, an invalid one or a different one?"""
    for target in context.targets:
        expected = expected_constraint(target)
        indexes = context.catalogue.indexes(target.table)
        yield from compare(expected, indexes)


def compare(expected: ExpectedConstraint, indexes: tuple[Index, ...]) -> Iterator[Finding]:
    """Compare the constraint with the indexes of its table. An equal one under another name is accepted."""
    like_it = [index for index in indexes if _resembles(index, expected)]
    valid = {index.name: tuple(_differences(index, expected)) for index in like_it if index.valid}
    enforced = any(_enforces(differences) for differences in valid.values())
    if valid:
        name = min(valid, key=lambda name: (_worst(valid[name]), len(valid[name])))
        if valid[name]:
            yield _different(expected, name, valid[name])
    elif all(index.valid for index in like_it):
        yield _absent(expected)
    for index in indexes:
        if not index.valid:
            yield _invalid(expected, index, needed=index in like_it and not enforced)


def _resembles(index: Index, expected: ExpectedConstraint) -> bool:
    if expected.name and index.name == expected.name:
        return True
    # Fewer columns refuse more than they should, and so every duplicate too.
    on_key = bool(expected.columns) and set(index.columns) <= set(expected.columns)
    return index.unique and on_key


def _differences(index: Index, expected: ExpectedConstraint) -> Iterator[Difference]:
    if not index.unique:
        yield Difference(level=Level.ERROR, words="is not unique")
    if expected.columns and set(index.columns) != set(expected.columns):
        narrower = set(index.columns) < set(expected.columns)
        names = ", ".join(name or "an expression" for name in index.columns)
        yield Difference(level=Level.WARNING if narrower else Level.ERROR, words=f"is on ({names})")
    if index.predicate and not expected.partial:
        yield Difference(level=Level.ERROR, words=f"covers only the rows WHERE {index.predicate}")
    if expected.partial and not index.predicate:
        yield Difference(level=Level.WARNING, words="covers all rows, not only those of the rule")
    if expected.nullable and index.nulls_distinct != expected.nulls_distinct:
        words = "accepts any number of NULLs" if index.nulls_distinct else "takes NULLs for equal"
        yield Difference(level=Level.ERROR if index.nulls_distinct else Level.WARNING, words=words)
    if index.deferrable and not expected.deferrable:
        yield Difference(level=Level.WARNING, words="is deferrable, so that ON CONFLICT cannot use it")


def _worst(differences: tuple[Difference, ...]) -> int:
    return max((difference.level for difference in differences), default=0)


def _enforces(differences: tuple[Difference, ...]) -> bool:
    return _worst(differences) < Level.ERROR


def _absent(expected: ExpectedConstraint) -> Finding:
    return Finding(
        id=ABSENT,
        level=Level.ERROR,
        message=f"Nothing in the database refuses a second row for ({expected.key}).",
        hint=f"Remove the duplicates, then {expected.how_to_add}",
        object=shown(expected.table),
        details={"constraint": expected.name},
    )


def _different(expected: ExpectedConstraint, name: str, differences: tuple[Difference, ...]) -> Finding:
    return Finding(
        id=DIFFERENT,
        level=Level(_worst(differences)),
        message=f"{name} {', and '.join(d.words for d in differences)}; the rule wants unique ({expected.key}).",
        hint=f"Drop it or give it another name, then {expected.how_to_add}",
        object=shown(expected.table),
        details={"constraint": name},
    )


def _invalid(expected: ExpectedConstraint, index: Index, *, needed: bool) -> Finding:
    costs = "it may refuse nothing" if needed else "it costs every write and helps no reader"
    return Finding(
        id=INVALID,
        level=Level.ERROR if needed else Level.WARNING,
        message=f"The index {index.name} is invalid, the leftover of a concurrent build: {costs}.",
        hint="Look whether a build still runs (pg_stat_progress_create_index); if not, DROP INDEX CONCURRENTLY"
        + (f", then {expected.how_to_add}" if needed else "."),
        object=shown(expected.table),
        details={"constraint": index.name},
    )
