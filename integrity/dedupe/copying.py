"""Copy what runs removed to a table of the owner's choice, so that it outlives undo and purge."""

from __future__ import annotations

from collections.abc import Sequence

from django.apps.registry import Apps

from integrity.backends import get_catalogue, get_rows
from integrity.backends.sql import SQL, columns, compose, joined, on
from integrity.dedupe.quarantine import side_tables_of, survivor_columns


def copy_removed(
    *, table: str, into: str, names: Sequence[str], newest: str, run: int | None = None, apps: Apps, using: str
) -> int:
    """Copy these columns of a table's removed rows, and of the rows that stand for them; return how many were new.

    ``into`` has a uniqueness of its own: what it has stays. Where several rows are one there, the row that stands for
    the others is taken first, then the newest by the column ``newest``; rows with a NULL that ``into`` refuses are
    passed over. All runs, unless ``run`` names one. Takes part in the caller's transaction; locks no row of ``table``.
    """
    catalogue = get_catalogue(using=using)
    pk, there = catalogue.primary_key(table), catalogue.tables()
    required = [column.name for column in catalogue.columns(into) if column.name in names and not column.nullable]
    copied = 0
    for side in side_tables_of(table, kind="quarantine", apps=apps, using=using):
        if side.name not in there:
            continue
        copied += get_rows(using=using).execute(
            compose(
                """
                INSERT INTO {into} ({names})
                SELECT {names} FROM (
                    SELECT 1 AS integrity_pos, {t_names}, t.{newest} AS integrity_newest FROM {table} AS t
                    WHERE EXISTS (SELECT 1 FROM {side} AS q WHERE {stands_for} AND {of_run})
                    UNION ALL
                    SELECT 2, {q_names}, q.{newest} FROM {side} AS q WHERE {of_run}
                ) AS m WHERE {complete} ORDER BY integrity_pos, integrity_newest DESC NULLS LAST
                ON CONFLICT DO NOTHING
                """,
                into=into,
                names=columns(names),
                t_names=columns(names, of="t"),
                q_names=columns(names, of="q"),
                newest=newest,
                complete=joined(" AND ", ("1 = 1", *(compose("{c} IS NOT NULL", c=name) for name in required))),
                table=table,
                side=side.name,
                stands_for=on("q", survivor_columns(len(pk)), "t", pk),
                of_run=SQL("1 = 1" if run is None else "q.integrity_run = %s"),
            ),
            () if run is None else (run, run),
        )
    return copied
