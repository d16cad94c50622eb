"""Redirects: what remains of removed rows once they are purged. Old primary key, survivor's primary key, run.

A table of redirects has the original's own types: ``p1..pn`` (the removed row), ``s1..sn`` (the row that stands for
it; NULL where there is none), ``integrity_run`` and ``integrity_at``. Its chains are short: what leads to a row that
is purged later is led on to that one's survivor, as purged runs are never undone.
"""

from __future__ import annotations

from typing import Any, Final

from django.apps.registry import Apps

from integrity.backends import get_catalogue, get_rows
from integrity.backends.names import own_name
from integrity.backends.sql import SQL, columns, compose, joined, numbered, on
from integrity.backends.statements import Query
from integrity.dedupe.books import book
from integrity.dedupe.quarantine import columns_of, require_there, side_tables_of, survivor_columns

REDIRECT: Final = "redirect"


def keep_redirects(run: int, quarantine: Any, *, apps: Apps, using: str) -> None:
    """Note the rows of a run in one quarantine (its entry in the register), which are about to be deleted.

    A table that is gone, or has another primary key by now, gets none: there is nowhere to be led to.
    """
    pk = get_catalogue(using=using).primary_key(quarantine.table)
    kept, survivors = columns_of(quarantine.name, using=using)
    if not pk or not set(pk) <= set(kept) or len(survivors) != len(pk):
        return
    name = _redirects_of(quarantine, pk, apps=apps, using=using)
    p, s = numbered("p", len(pk)), numbered("s", len(pk))
    parts: dict[str, str | SQL] = {
        "name": name,
        "quarantine": quarantine.name,
        "p": columns(p),
        "s": columns(s),
        "same_row": on(name, p, "q", pk),
    }
    rows = get_rows(using=using)
    forget = (
        "DELETE FROM {name} WHERE EXISTS (SELECT 1 FROM {quarantine} AS q WHERE q.integrity_run = %s AND {same_row})"
    )
    rows.execute(compose(forget, **parts), (run,))
    rows.execute(_insert(quarantine.name, name, pk), (run,))
    rows.execute(_lead_on(name, p, s), (run, run))


def _insert(quarantine: str, name: str, pk: tuple[str, ...]) -> SQL:
    """Each removed row, led on where its survivor was removed by a later run and purged already."""
    p, s = numbered("p", len(pk)), numbered("s", len(pk))
    survivors = survivor_columns(len(pk))
    heirs = (
        compose("CASE WHEN r.p1 IS NULL THEN q.{own} ELSE r.{s} END", own=own, s=one)
        for own, one in zip(survivors, s, strict=True)
    )
    return compose(
        """
        INSERT INTO {name} ({p}, {s}, integrity_run, integrity_at)
        SELECT {pk}, {heirs}, q.integrity_run, q.integrity_at
        FROM {quarantine} AS q LEFT JOIN {name} AS r ON {led_on} AND r.integrity_run > q.integrity_run
        WHERE q.integrity_run = %s
        """,
        name=name,
        p=columns(p),
        s=columns(s),
        pk=columns(pk, of="q"),
        heirs=joined(", ", heirs),
        quarantine=quarantine,
        led_on=on("r", p, "q", survivors),
    )


def _lead_on(name: str, p: tuple[str, ...], s: tuple[str, ...]) -> SQL:
    """Let earlier redirects to a row that this run removed lead to that row's survivor."""
    return compose(
        """
        UPDATE {name} SET {values} FROM {name} AS n
        WHERE {to_removed} AND n.integrity_run = %s AND {name}.integrity_run < %s
        """,
        name=name,
        values=joined(", ", (compose("{s} = n.{s}", s=one) for one in s)),
        to_removed=on(name, s, "n", p),
    )


def _redirects_of(quarantine: Any, pk: tuple[str, ...], *, apps: Apps, using: str) -> str:
    """Return the name of a table's redirects, made if it is not there."""
    known = side_tables_of(quarantine.table, kind=REDIRECT, apps=apps, using=using).first()
    if known is not None:
        require_there(known, using=using)
        return str(known.name)
    name = own_name("integrity_redirect", quarantine.table, room=2)
    rows = get_rows(using=using)
    own = (
        compose("t.{own} AS {p}, CASE WHEN 1 = 0 THEN t.{own} END AS {s}", own=own, p=f"p{n}", s=f"s{n}")
        for n, own in enumerate(pk, 1)
    )
    rows.create_as(
        name,
        Query(
            sql=compose(
                "SELECT {own}, CAST(NULL AS bigint) AS integrity_run, CURRENT_TIMESTAMP AS integrity_at "
                "FROM {table} AS t WHERE 1 = 0",
                own=joined(", ", own),
                table=quarantine.table,
            )
        ),
    )
    for suffix, names in (("p", numbered("p", len(pk))), ("s", numbered("s", len(pk)))):
        index = f"{name}_{suffix}"
        rows.execute(compose("CREATE INDEX {index} ON {name} ({names})", index=index, name=name, names=columns(names)))
    types = {column.name: column.type for column in get_catalogue(using=using).columns(quarantine.table)}
    shape = [[column, types[column]] for column in pk]
    book("SideTable", apps=apps, using=using).create(
        kind=REDIRECT, table=quarantine.table, name=name, generation=1, columns=shape
    )
    return name
