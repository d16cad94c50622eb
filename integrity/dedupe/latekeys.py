"""Rows that get another key while rows of another table reference them: these move first, to a key not there yet.

A foreign key that cannot wait forbids it: one that was not declared DEFERRABLE, as Django declares all of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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


def turns_to_point_back(
    order: Sequence[str], stages: Mapping[str, Stage], catalogue: Catalogue
) -> dict[str, tuple[str, ...]]:
    """At the turn of which table the rows of which tables point back in an undo; ``order`` is that of the turns.

    It is their own turn, but for rows that reference others which got another key: these have to let go of it before
    those get their old one, since ON UPDATE RESTRICT waits for nothing. They can, where each of their foreign keys
    waits, or has what it points at by then.
    """
    turn = {table: place for place, table in enumerate(order)}
    places = {catalogue.name_of(table): place for table, place in turn.items()}
    followers = list(_followers(stages))
    for _ in order:  # those who follow followers
        for stage, reference in followers:
            until = min(turn[stage.table], turn[reference.target_table])
            keys = catalogue.foreign_keys(stage.table)
            if all(key.deferrable or places.get(key.target_table, -1) < until for key in keys):
                turn[stage.table] = until
    return {
        table: tuple(other for other in reversed(order) if turn[other] == place) for place, table in enumerate(order)
    }


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
