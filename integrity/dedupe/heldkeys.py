"""Keys that a row of the rule's own table shall have while one that goes still holds them, and cannot go before."""

from __future__ import annotations

from integrity.backends import get_catalogue, get_rows
from integrity.backends.sql import compose, joined, on
from integrity.dedupe.collisions import frees_keys, plain_key, value_after
from integrity.dedupe.refusals import refusals_of
from integrity.dedupe.stages import Stage


def refuse_held_keys(root: Stage, stage: Stage, *, using: str) -> None:
    """Refuse the groups of such rows; ``stage`` is the root's table's own, where it references itself.

    What a unique index says by more than columns (conditions, expressions), or only later, is left to the database.
    """
    if frees_keys(stage, using=using):
        return
    catalogue, rows = get_catalogue(using=using), get_rows(using=using)
    generated = {column.name: column.default for column in catalogue.columns(stage.table) if column.generated}
    moving = {column for reference in stage.plain for column in reference.columns}
    for index in catalogue.indexes(stage.table):
        key = plain_key(index, generated) or []
        if not (index.unique and index.valid and not index.deferrable and moving & {*key}):
            continue
        news = [value_after(stage, column) for column in key]
        rows.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT DISTINCT st.grp, st.grp, %s
                FROM {stage} AS st JOIN {table} AS c ON {same} JOIN {table} AS h ON {holds}
                JOIN {root} AS r ON {goes} AND r.action = 'remove'
                WHERE st.action = 'repoint'
                """,
                refusals=refusals_of(root),
                stage=stage.name,
                table=stage.table,
                same=on("c", stage.pk, "st", stage.p),
                holds=joined(" AND ", (compose("h.{a} = {b}", a=a, b=b) for a, b in zip(key, news, strict=True))),
                root=root.name,
                goes=on("h", root.pk, "r", root.p),
            ),
            (
                f"a row of {stage.table} would get the {', '.join(key)} of one that goes, which cannot go before: a "
                "foreign key of the table to itself cannot wait; make that DEFERRABLE and ON DELETE NO ACTION",
            ),
        )
