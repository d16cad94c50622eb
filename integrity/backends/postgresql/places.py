"""Rows found by the place where they were staged (``ctid``) and not by an index, which is slower in large tables."""

from __future__ import annotations

from collections.abc import Sequence

from integrity.backends.rows import in_span
from integrity.backends.sql import SQL, columns, compose, numbered, on


def lies_as_staged(pk: Sequence[str]) -> SQL:
    """Condition: the row ``t`` is that of the stage ``r``, and lies at its place."""
    return compose("t.ctid = r.place AND {same_row}", same_row=on("t", pk, "r", numbered("p", len(pk))))


def lock_where_staged(*, table: str, stage: str, pk: Sequence[str], refusals: str) -> SQL:
    """A query that locks a span's rows and says whether each of them was found, in the version that was staged.

    Its parameters are the span, three times. Rows that go are locked FOR UPDATE, the others FOR NO KEY UPDATE, both in
    order of their primary keys and without waiting.
    """
    going, staying = (
        compose(
            """
            SELECT 1 FROM {table} AS t JOIN {stage} AS r ON {lies} AND t.xmin = r.version
            WHERE {chosen} AND {in_span} ORDER BY {t_pk} FOR {strength} OF t SKIP LOCKED
            """,
            table=table,
            stage=stage,
            lies=lies_as_staged(pk),
            chosen=SQL(chosen),
            in_span=in_span(refusals),
            t_pk=columns(pk, of="t"),
            strength=SQL(strength),
        )
        for chosen, strength in (("r.action = 'remove'", "UPDATE"), ("r.action <> 'remove'", "NO KEY UPDATE"))
    )
    return compose(
        """
        WITH going AS MATERIALIZED ({going}), staying AS MATERIALIZED ({staying})
        SELECT (SELECT COUNT(*) FROM going) + (SELECT COUNT(*) FROM staying)
             = (SELECT COUNT(*) FROM {stage} AS r WHERE {in_span})
        """,
        going=going,
        staying=staying,
        stage=stage,
        in_span=in_span(refusals),
    )
