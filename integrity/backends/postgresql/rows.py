"""Row statements as PostgreSQL does them best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql.catalogue import PostgreSQLCatalogue
from integrity.backends.postgresql.embedded import holds, replaced
from integrity.backends.postgresql.grouping import PostgreSQLGroups
from integrity.backends.postgresql.images import image
from integrity.backends.postgresql.places import lies_as_staged, lock_where_staged
from integrity.backends.postgresql.settings import settings
from integrity.backends.rows import in_span
from integrity.backends.sql import SQL, columns, compose, identifier, joined, numbered, on


class PostgreSQLRows(PostgreSQLGroups):
    """Locks rows with SKIP LOCKED, so that neither a writer nor a batch ever waits for the other."""

    overriding = SQL("OVERRIDING SYSTEM VALUE")
    sharing = SQL("FOR SHARE OF t SKIP LOCKED")

    @contextmanager
    def writing(self) -> Iterator[None]:
        yield

    @contextmanager
    def batch_settings(self, *, lock_timeout: timedelta, limit: timedelta | None, outermost: bool) -> Iterator[None]:
        # Re-checking under locks needs each statement to see what was committed before it: a stricter default
        # isolation would answer from the snapshot of the first statement. Inside a caller's transaction it is too late.
        isolation = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; " if outermost else ""
        # A batch touches few rows of a large table: the planner, guessing at cold disks, would read all of it.
        wanted: dict[str, object] = {
            "lock_timeout": lock_timeout // timedelta(milliseconds=1),
            "enable_seqscan": "off",
            "random_page_cost": 1.1,
            "jit": "off",
        }
        if limit is not None and outermost:
            wanted["statement_timeout"] = limit // timedelta(milliseconds=1)
        with settings(self.connection, wanted, first=isolation):
            yield

    def expect_scan(self) -> None:
        # Before PostgreSQL 18 a scan that is switched off costs so much that no way of joining stands out any more.
        self.execute(SQL("SET LOCAL enable_seqscan TO DEFAULT"))

    def prepare_stream(self, cursor: Any) -> None:
        from integrity.backends.postgresql.loading import let_text_be  # with psycopg, as above

        let_text_be(cursor.adapters)

    @contextmanager
    def foreign_keys_unchecked(self) -> Iterator[None]:
        self.execute(SQL("SET session_replication_role = replica"))
        try:
            yield
        finally:
            self.execute(SQL("SET session_replication_role = origin"))

    def defer_constraints(self) -> None:
        self.execute(SQL("SET CONSTRAINTS ALL DEFERRED"))

    def check_constraints_now(self) -> None:
        self.execute(SQL("SET CONSTRAINTS ALL IMMEDIATE"))
        self.defer_constraints()

    def hold_schema(self, tables: Sequence[str]) -> str:
        names = joined(", ", map(identifier, tables))
        self.execute(compose("LOCK TABLE {names} IN ROW EXCLUSIVE MODE", names=names))
        return PostgreSQLCatalogue(self.connection).mark(tables)

    def claim_table(self, table: str, *, lane: int | None = None) -> bool:
        alone = "pg_try_advisory_xact_lock(hashtext('integrity'), hashtext(%s))"
        if lane is None:
            return bool(self.value(SQL(f"SELECT {alone}"), (table,)))
        together = "pg_try_advisory_xact_lock_shared(hashtext('integrity'), hashtext(%s))"
        return bool(self.value(SQL(f"SELECT {together} AND {alone}"), (table, f"{table} {lane}")))

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        self._types: dict[str, dict[str, str]] = {}

    def fingerprint(self, table: str, names: Sequence[str], *, alias: str) -> SQL:
        if not set(names) <= self._types.get(table, {}).keys():
            found = PostgreSQLCatalogue(self.connection).columns(table)
            self._types[table] = {column.name: column.type for column in found}
        images = (image(name, self._types[table][name], of=alias) for name in names)
        return compose("hash_record_extended(ROW({images}), 0)", images=joined(", ", images))

    def must_convert(self, source: str, target: str) -> bool:
        return _family(source) != _family(target)

    def convert(self, value: SQL, *, to: str, dashed: bool = False) -> SQL:
        return SQL(f"CAST({value} AS {to})")

    def holds(self, of: SQL, column: str, *, inside: str, path: Sequence[str], value: SQL) -> SQL:
        return holds(compose("{of}.{column}", of=of, column=column), inside=inside, path=path, id=value)

    def replaced(self, of: SQL, column: str, *, inside: str, path: Sequence[str], pairs: SQL) -> SQL:
        return replaced(compose("{of}.{column}", of=of, column=column), inside=inside, path=path, pairs=pairs)

    def place(self, alias: str) -> SQL:
        return compose("{alias}.ctid", alias=alias)

    def version(self, alias: str) -> SQL:
        return compose("{alias}.xmin", alias=alias)

    def digest(self, name: str, names: Sequence[str]) -> str:
        # A sum does not depend on the order of the rows, and needs no memory.
        total = self.value(
            compose(
                "SELECT COALESCE(SUM({fingerprint}::numeric), 0) FROM {name}",
                name=name,
                fingerprint=self.fingerprint(name, names, alias=name),
            )
        )
        return f"{int(total) % (1 << 128):032x}"

    def lock_in_place(self, *, table: str, stage: str, pk: Sequence[str], refusals: str, span: tuple[int, int]) -> bool:
        locking = lock_where_staged(table=table, stage=stage, pk=pk, refusals=refusals)
        return bool(self.value(locking, (*span, *span, *span)))

    def hold_rows(self, *, table: str, pk: Sequence[str], keys: SQL) -> None:
        hold = "SELECT 1 FROM {table} AS t WHERE ({pk}) IN ({keys}) ORDER BY {pk} FOR UPDATE OF t"
        self.execute(compose(hold, table=table, pk=columns(pk, of="t"), keys=keys))

    def lock_and_compare(
        self, *, table: str, stage: str, pk: Sequence[str], changed: SQL, refusals: str, span: tuple[int, int]
    ) -> None:
        # A survivor's weaker lock lets others go on inserting rows that reference it.
        p = numbered("p", len(pk))
        self.execute(
            compose(
                """
                WITH going AS MATERIALIZED (
                    SELECT {r_p}, {changed} AS changed
                    FROM {table} AS t JOIN {stage} AS r ON {same_row}
                    WHERE r.action = 'remove' AND {in_span}
                    ORDER BY {t_pk} FOR UPDATE OF t SKIP LOCKED
                ), staying AS MATERIALIZED (
                    SELECT {r_p}, {changed} AS changed
                    FROM {table} AS t JOIN {stage} AS r ON {same_row}
                    WHERE r.action <> 'remove' AND {in_span}
                    ORDER BY {t_pk} FOR NO KEY UPDATE OF t SKIP LOCKED
                ), locked AS (
                    SELECT * FROM going UNION ALL SELECT * FROM staying
                )
                INSERT INTO {refusals} (unit, grp, reason)
                SELECT DISTINCT r.unit, r.grp,
                       CASE WHEN l.changed THEN 'changed'
                            WHEN EXISTS (SELECT 1 FROM {table} AS t WHERE {same_row}) THEN 'busy' ELSE 'gone' END
                FROM {stage} AS r LEFT JOIN locked AS l ON {same_locked}
                WHERE {in_span} AND (l.{p1} IS NULL OR l.changed)
                """,
                table=table,
                stage=stage,
                refusals=refusals,
                changed=changed,
                r_p=columns(p, of="r"),
                t_pk=columns(pk, of="t"),
                p1=p[0],
                same_row=on("t", pk, "r", p),
                same_locked=on("l", p, "r", p),
                in_span=in_span(refusals),
            ),
            (*span, *span, *span),
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
        return self.execute(
            compose(
                """
                WITH gone AS (
                    DELETE FROM {table} AS t USING {stage} AS r
                    WHERE {same_row} AND r.action = 'remove' AND {in_span}
                    RETURNING {t_names}, {extra_values}
                )
                INSERT INTO {into} ({names}, {extra_names}) SELECT * FROM gone
                """,
                table=table,
                stage=stage,
                into=into,
                same_row=lies_as_staged(pk) if in_place else on("t", pk, "r", p),
                in_span=in_span(refusals),
                t_names=columns(names, of="t"),
                names=columns(names),
                extra_names=columns(extra),
                extra_values=joined(", ", (f"{value} AS {identifier(key)}" for key, value in extra.items())),
            ),
            span,
        )


def _family(kind: str) -> str:
    """Types that compare with each other by an index of either."""
    base = kind.partition("(")[0].strip()
    if base in ("smallint", "integer", "bigint"):
        return "integer"
    return "text" if base in ("text", "character varying", "character") else base
