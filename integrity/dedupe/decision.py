"""Decide about staged groups: which rows go, what moves with them, which groups are refused; and name the decision."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from typing import Any

from django.apps.registry import Apps

from integrity.backends import get_rows
from integrity.backends.sql import SQL, compose
from integrity.dedupe.caveats import caveats, large_groups
from integrity.dedupe.conflicts import apply_conflict_policy
from integrity.dedupe.couplings import couple
from integrity.dedupe.fills import stage_fills
from integrity.dedupe.following import Following
from integrity.dedupe.largegroups import take_apart
from integrity.dedupe.progress import Progress, Report
from integrity.dedupe.refusals import make_refusals, refusals_of
from integrity.dedupe.sizes import FIRST_SIZE
from integrity.dedupe.stages import Stage
from integrity.dedupe.target import Target
from integrity.dedupe.vectors import largest_distance


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a plan's book says of its stages."""

    document: dict[str, Any]
    digest: str


def decide(target: Target, root: Stage, *, apps: Apps, report: Report) -> Decision:
    """Follow the rule from the ranked groups into every table, and stage what is to be done there.

    Raises:
        IntegrityAppError: a reference cannot be followed.
    """
    using = target.using
    refusals = make_refusals(root, using=using)
    apply_conflict_policy(target, root, refusals=refusals)
    report(Progress(step="following references"))
    following = Following(target, root, apps=apps, refusals=refusals)
    following.follow()
    stages = tuple(following.stages.values())
    couple(root, stages, using=using)
    fills = stage_fills(target, root, name=f"{root.name}_fill")
    stages = (*stages, fills) if fills else stages
    report(Progress(step="summing up"))
    counted = count(target, root, stages)
    take_apart(target, root, stages, largest=counted["counts"]["largest"])
    return Decision(
        document={
            "key": list(target.key.parts),
            "keep": target.why,
            "root": root.to_json(),
            "stages": [stage.to_json() for stage in stages],
            **counted,
            "triggers": _triggers(target, (root, *stages)),
            "caveats": [
                *large_groups(root, stages, largest=counted["counts"]["largest"], using=using),
                *caveats(target, root, apps=apps),
            ],
            "indexed_key": _indexed_key(target),
        },
        digest=digest_of(target, (root, *stages)),
    )


def count(target: Target, root: Stage, stages: tuple[Stage, ...]) -> dict[str, Any]:
    """Count what the stages hold; what belongs to refused groups does not count as going, moving or filled."""
    using = target.using
    counts = _counts(target, root)
    batches = ceil(counts["groups"] / FIRST_SIZE)
    return {
        "counts": counts,
        "references": [_reference_counts(target, root, stage, batches) for stage in stages if not stage.fills],
        "filled": sum(sum(_by_action(root, stage, using=using).values()) for stage in stages if stage.fills),
    }


def digest_of(target: Target, stages: tuple[Stage, ...]) -> str:
    """Name a decision: the same rule on the same rows, with the same groups refused, gives the same digest."""
    rows = get_rows(using=target.using)
    parts = [
        target.rule.name,
        target.why,
        *(f"{stage.table}:{rows.digest(stage.name, _decided(stage))}" for stage in stages),
        rows.digest(refusals_of(stages[0]), ("grp", "reason")),
    ]
    return sha256("\n".join(parts).encode()).hexdigest()


def _decided(stage: Stage) -> tuple[str, ...]:
    """The columns of a stage that hold its decision. Where references move to follows from the survivors."""
    values = (name for fill in stage.references for name in fill.new) if stage.fills else ()
    return ("action", *stage.p, *stage.s, "fp", *values)


def forget_decision(root: Stage, stages: tuple[Stage, ...], *, using: str) -> None:
    """Drop all that ``decide`` made from the groups, so that it can decide anew."""
    rows = get_rows(using=using)
    for name in (*(stage.name for stage in stages), refusals_of(root)):
        rows.drop(name)
    rows.execute(compose("UPDATE {root} SET unit = grp WHERE unit <> grp", root=root.name))


def _counts(target: Target, root: Stage) -> dict[str, Any]:
    rows = get_rows(using=target.using)
    counted = "SELECT kind, action = 'remove' AND NOT {refused}, COUNT(*), MAX(members) FROM {root} GROUP BY 1, 2"
    by_kind: Counter[str] = Counter()
    going, largest = 0, 0
    for kind, goes, count, members in rows.fetch(compose(counted, refused=_refused(root), root=root.name)):
        by_kind[kind] += count
        if goes:
            going, largest = going + count, max(largest, members)
    vector = target.rule.vector
    column = target.model._meta.get_field(vector).column if vector else None
    groups = by_kind.pop("survivor", 0)
    redundant = by_kind.total()
    return {
        "groups": groups,
        "redundant": redundant,
        **{kind: by_kind[kind] for kind in ("identical", "incomplete", "conflicting")},
        "staying": redundant - going,
        "largest": largest,
        "max_distance": largest_distance(root, column=column, using=target.using) if column else None,
    }


def _by_action(root: Stage, stage: Stage, *, using: str) -> dict[str, int]:
    """How many rows of a stage there are to be treated in each way, without those of refused groups."""
    counted = "SELECT action, COUNT(*) FROM {stage} WHERE NOT {refused} GROUP BY action"
    return dict(get_rows(using=using).fetch(compose(counted, stage=stage.name, refused=_refused(root))))


def _refused(root: Stage) -> SQL:
    """Condition on a stage's row: its group is refused."""
    return compose("unit IN (SELECT unit FROM {refusals})", refusals=refusals_of(root))


def _reference_counts(target: Target, root: Stage, stage: Stage, batches: int) -> dict[str, Any]:
    found = _by_action(root, stage, using=target.using)
    indexed = all(reference.indexed for reference in stage.references)
    # Generic references to several models, and ids in two spellings, are several to one column.
    unindexed = list(dict.fromkeys(", ".join(r.columns) for r in stage.plain if not r.indexed))
    rows = None if indexed else target.catalogue.row_estimate(stage.table)
    return {
        "table": stage.table,
        "columns": list(dict.fromkeys(c for reference in stage.references for c in reference.columns)),
        "repointed": int(found.get("repoint", 0)),
        "collisions": int(found.get("remove", 0)),
        "indexed": indexed,
        "unindexed": unindexed,
        "rows": rows,
        "reads": None if rows is None else rows * batches,
    }


def _triggers(target: Target, stages: tuple[Stage, ...]) -> dict[str, list[str]]:
    """The triggers of tables whose rows go or change; none of them is foreseen, nor taken back by an undo."""
    rows = get_rows(using=target.using)
    tables = {stage.table for stage in stages if rows.fetch(compose("SELECT 1 FROM {stage} LIMIT 1", stage=stage.name))}
    return {table: list(names) for table in sorted(tables) if (names := target.catalogue.triggers(table))}


def _indexed_key(target: Target) -> bool:
    """Whether the members of one group can be looked up without reading the whole table."""
    first = {index.columns[0] for index in target.catalogue.indexes(target.table) if index.valid}
    return bool(first & set(target.key_columns))
