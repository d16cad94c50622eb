"""Row statements as SQLite does them best: one writer at a time, so nothing changes under a batch's feet."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from integrity.backends.ranking import GroupQuery, ranked_select
from integrity.backends.rows import Rows, in_span
from integrity.backends.sql import SQL, columns, compose, identifier, joined, numbered, on
from integrity.backends.sqlite.embedded import holds, replaced
from integrity.backends.sqlite.types import NUMBERS, affinity
from integrity.backends.statements import Query

_AS_NUMBER = """(
    SELECT CASE WHEN n <> v THEN v WHEN CAST(n AS TEXT) = v THEN n END
    FROM (SELECT v, CAST(v AS NUMERIC) AS n FROM (SELECT {value} AS v))
)"""
"""A number is equal to a text only if that looks like a number."""

_MOST_ARGUMENTS = 100  # SQLITE_MAX_FUNCTION_ARG is 100 in older builds


def fingerprint(*values: float | str | bytes | None) -> int:
    """Fold values of SQLite's five storage classes into a signed 64-bit number; 5, 5.0 and '5' differ."""
    state = blake2b(digest_size=8)
    for value in values:
        data = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
        state.update(struct.pack("<cq", type(value).__name__[0].encode(), len(data)))
        state.update(data)
    return int.from_bytes(state.digest(), "little", signed=True)


class _Sum:
    """An aggregate: the sum of fingerprints, whatever the order of the rows."""

    def __init__(self) -> None:
        self.total = 0

    def step(self, *values: float | str | bytes | None) -> None:
        self.total += fingerprint(*values)

    def finalize(self) -> str:
        return f"{self.total % (1 << 128):032x}"


class SQLiteRows(Rows):
    """Begins IMMEDIATE, so that a batch holds the write lock before it reads what it is going to change."""

    same = "IS"
    differs = "IS NOT"

    @contextmanager
    def writing(self) -> Iterator[None]:
        connection: Any = self.connection  # Django's SQLite wrapper has this attribute since 5.1, once it is open
        connection.ensure_connection()
        before = connection.transaction_mode
        connection.transaction_mode = "IMMEDIATE"
        try:
            yield
        finally:
            connection.transaction_mode = before

    def batch_settings(
        self, *, lock_timeout: timedelta, limit: timedelta | None, outermost: bool
    ) -> AbstractContextManager[None]:
        return nullcontext()  # whoever writes is alone

    def check_constraints_now(self) -> None:
        """Do nothing: the resolver looks for what dangles itself."""

    def defer_constraints(self) -> None:
        self.execute(SQL("PRAGMA defer_foreign_keys = ON"))

    def hold_schema(self, tables: Sequence[str]) -> str:
        # Whoever writes is alone. Which tables matter is not asked: other tables change seldom.
        made = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'integrity\\_%%' ESCAPE '\\'"
        return f"{fingerprint(*(sql for (sql,) in self.fetch(SQL(made))))}"

    def claim_table(self, table: str, *, lane: int | None = None) -> bool:
        return True

    def fingerprint(self, table: str, names: Sequence[str], *, alias: str) -> SQL:
        self._register()
        chunks = [names[n : n + _MOST_ARGUMENTS] for n in range(0, len(names), _MOST_ARGUMENTS)]
        parts = [compose("integrity_fingerprint({names})", names=columns(chunk, of=alias)) for chunk in chunks]
        return parts[0] if len(parts) == 1 else compose("integrity_fingerprint({parts})", parts=joined(", ", parts))

    def _register(self) -> None:
        self.connection.ensure_connection()
        raw = self.connection.connection
        raw.create_function("integrity_fingerprint", -1, fingerprint, deterministic=True)
        raw.create_aggregate("integrity_digest", -1, _Sum)

    def as_stored(self, names: Sequence[str], *, of: str) -> SQL:
        # Django reads a column by its declared type: a time that it cannot parse would be None, 't' and 'true' False.
        # With a plus it is an expression, which has none.
        return joined(", ", (compose("+{of}.{name} AS {name}", of=of, name=name) for name in names))

    apart = SQL("LIMIT -1")
    unindexed = SQL("+")
    many_writers = False
    folds_names = True
    hex_ids = True

    def must_convert(self, source: str, target: str) -> bool:
        own, wanted = affinity(source), affinity(target)
        return (wanted == "TEXT" and own != "TEXT") or (wanted in NUMBERS and own == "TEXT")

    def convert(self, value: SQL, *, to: str, dashed: bool = False) -> SQL:
        kind = affinity(to)
        if kind in NUMBERS and not dashed:
            return compose(_AS_NUMBER, value=value)
        if not dashed:
            return SQL(f"CAST({value} AS TEXT)")
        parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
        return joined(" || '-' || ", (f"substr({value}, {start}, {length})" for start, length in parts))

    def comparison(self, own: str, target: str, *, collation: str) -> str:
        # As https://www.sqlite.org/foreignkeys.html has it (chapter 3): with the key's collation and affinity. A plus
        # takes the column's own affinity away, and with it any use of an index.
        ours, theirs = affinity(own), affinity(target)
        if {ours, theirs} <= NUMBERS:
            return "{own} = {key}"
        return f"{{key}} COLLATE {collation} = {'' if ours == theirs else '+'}{{own}}"

    def holds(self, of: SQL, column: str, *, inside: str, path: Sequence[str], value: SQL) -> SQL:
        return holds(compose("{of}.{column}", of=of, column=column), path=path, id=value, dashed=self._dashed)

    def replaced(self, of: SQL, column: str, *, inside: str, path: Sequence[str], pairs: SQL) -> SQL:
        return replaced(compose("{of}.{column}", of=of, column=column), path=path, pairs=pairs, dashed=self._dashed)

    def _dashed(self, value: SQL) -> SQL:
        return self.convert(value, to="TEXT", dashed=True)

    def place(self, alias: str) -> SQL:
        return SQL("0")

    def version(self, alias: str) -> SQL:
        return SQL("0")

    def create_as(self, name: str, query: Query) -> None:
        # The search may take long; a temporary table takes no lock that others who write would wait for.
        found = f'temp"."{name}_found'
        self.drop(found)
        super().create_as(found, query)
        super().create_as(name, Query(sql=compose("SELECT * FROM {found}", found=found)))
        self.drop(found)

    def stage_groups(self, name: str, query: GroupQuery) -> None:
        # In a CROSS JOIN the right side is looked up, by an index that SQLite makes for it; else the planner, which
        # takes the keys for few, may read the whole table for each.
        k = numbered("k", query.key_count)
        source = compose(
            """
            SELECT r.* FROM ({rows}) AS r
            CROSS JOIN (SELECT {k} FROM ({keys}) AS g GROUP BY {k} HAVING COUNT(*) > 1) AS d ON {same_key}
            """,
            k=columns(k),
            keys=query.keys.sql,
            rows=query.rows.sql,
            same_key=on("r", k, "d", k, same="=" if query.nulls_distinct else "IS"),
        )
        self.create_as(
            name, Query(sql=ranked_select(query, source=source), params=query.rows.params + query.keys.params)
        )

    def digest(self, name: str, names: Sequence[str]) -> str:
        self._register()
        return str(self.value(compose("SELECT integrity_digest({names}) FROM {name}", names=columns(names), name=name)))

    def lock_and_compare(
        self, *, table: str, stage: str, pk: Sequence[str], changed: SQL, refusals: str, span: tuple[int, int]
    ) -> None:
        p = numbered("p", len(pk))
        self.execute(
            compose(
                """
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT DISTINCT r.unit, r.grp,
                       CASE WHEN {keyless} THEN 'keyless' WHEN t.{pk1} IS NULL THEN 'gone' ELSE 'changed' END
                FROM {stage} AS r LEFT JOIN {table} AS t ON {same_row}
                WHERE {in_span} AND (t.{pk1} IS NULL OR {changed})
                """,
                table=table,
                stage=stage,
                refusals=refusals,
                changed=changed,
                pk1=pk[0],
                keyless=joined(" OR ", (compose("r.{p}", p=own) + " IS NULL" for own in p)),
                same_row=on("t", pk, "r", p),
                in_span=in_span(refusals),
            ),
            span,
        )

    def move(
        self,
        *,
        table: str,
        pk: Sequence[str],
        stage: str,
        names: Sequence[str],
        into: str,
        extra: dict[str, SQL],
        span: tuple[int, int],
        refusals: str,
        in_place: bool = False,
    ) -> int:
        p = numbered("p", len(pk))
        going = compose(
            "SELECT {p} FROM {stage} AS r WHERE r.action = 'remove' AND {in_span}",
            p=columns(p, of="r"),
            stage=stage,
            in_span=in_span(refusals),
        )
        moved = self.execute(
            compose(
                """
                INSERT INTO {into} ({names}, {extra_names})
                SELECT {t_names}, {extra_values} FROM {table} AS t JOIN {stage} AS r ON {same_row}
                WHERE r.action = 'remove' AND {in_span}
                """,
                table=table,
                stage=stage,
                into=into,
                same_row=on("t", pk, "r", p),
                in_span=in_span(refusals),
                t_names=columns(names, of="t"),
                names=columns(names),
                extra_names=columns(extra),
                extra_values=joined(", ", (f"{value} AS {identifier(key)}" for key, value in extra.items())),
            ),
            span,
        )
        these = {"table": table, "pk": columns(pk), "going": going}
        gone = self.execute(compose("DELETE FROM {table} WHERE ({pk}) IN ({going})", **these), span)
        if gone < moved:  # a trigger may have kept some; those that a foreign key of the table took along count not
            left = self.value(compose("SELECT COUNT(*) FROM {table} WHERE ({pk}) IN ({going})", **these), span)
            gone = moved - int(left)
        return min(moved, gone)
