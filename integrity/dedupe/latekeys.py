"""Rows that get another key while rows of another table reference them: these move first, to a key not there yet.

A foreign key that cannot wait forbids it: one that was not declared DEFERRABLE, as Django declares all of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from integrity.backends import Catalogue, get_rows
from integrity.backends.sql import compose, on
from integrity.dedupe.maps import key_changes
from integrity.dedupe.pointing import is_declared_by
from integrity.dedupe.refusals import refusals_of
from integrity.dedupe.stages import Stage, StagedReference


def refuse_late_keys(root: Stage, stages: Mapping[str, Stage], *, catalogue: Catalogue, using: str) -> None:
    """Refuse the groups of rows that would reference a key before it is there; ``stages`` by table."""
    rows = get_rows(using=using)
    for stage, reference in _hasty(stages, catalogue):
        label = f"{stage.table}.{', '.join(reference.columns)}"
        rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT DISTINCT o.{grp}, o.{grp}, %s FROM {stage} AS o
                WHERE o.action = 'repoint' AND o.{new} IS NOT NULL
                  AND NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {same})
                """,
                refusals=refusals_of(root),
                grp=reference.grp,
                stage=stage.name,
                new=reference.new[0],
                target=reference.target_table,
                same=on("t", reference.target_columns, "o", reference.new),
            ),
            (
                f"a row of {reference.target_table} would get another key while {label} points at it, by a foreign key "
                "that cannot wait; make that DEFERRABLE",
            ),
        )


def rows_that_wait(stages: Mapping[str, Stage], catalogue: Catalogue) -> frozenset[str]:
    """Tables with rows that reference others which got another key, and whose every foreign key can wait.

    They have to point back before those rows get their old key: ON UPDATE RESTRICT waits for nothing.
    """
    return frozenset(
        stage.table
        for stage, _ in _followers(stages)
        if all(key.deferrable for key in catalogue.foreign_keys(stage.table))
    )


def _hasty(stages: Mapping[str, Stage], catalogue: Catalogue) -> Iterator[tuple[Stage, StagedReference]]:
    """References to rows that get another key by foreign keys that cannot wait."""
    for stage, reference in _followers(stages):
        keys = catalogue.foreign_keys(stage.table)
        if any(is_declared_by(reference, key, catalogue) and not key.deferrable for key in keys):
            yield stage, reference


def _followers(stages: Mapping[str, Stage]) -> Iterator[tuple[Stage, StagedReference]]:
    """References to tables whose rows get other keys; not to their own table."""
    for stage in stages.values():
        for reference in stage.plain:
            target = stages.get(reference.target_table)
            if target not in (None, stage) and key_changes(target, reference.target_columns):
                yield stage, reference
