"""What PostgreSQL's system catalogue says of a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.base import Column, ForeignKey, Index
from integrity.backends.postgresql.hindrances import hindrance
from integrity.backends.sql import compose, relation

COLLATION = """COALESCE((
    SELECT ' COLLATE ' || pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(l.collname)
    FROM pg_catalog.pg_collation AS l JOIN pg_catalog.pg_namespace AS s ON s.oid = l.collnamespace
    LEFT JOIN pg_catalog.pg_attribute AS o ON o.attrelid = i.indrelid AND o.attnum = i.indkey[n - 1]
    WHERE l.oid = i.indcollation[n - 1] AND l.oid IS DISTINCT FROM o.attcollation), '')"""
"""SQL for what ``pg_get_indexdef`` leaves out of part ``n`` of index ``i``: a collation that is not the column's."""

_ON_DELETE = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


class PostgreSQLCatalogue:
    """Answers from ``pg_catalog``; it needs no privilege on the tables themselves."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection

    def _rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())

    def tables(self) -> frozenset[str]:
        rows = self._rows(
            """
            SELECT c.relname FROM pg_catalog.pg_class AS c
            WHERE c.relkind IN ('r', 'p', 'f') AND pg_catalog.pg_table_is_visible(c.oid)
              AND c.relnamespace <> 'pg_catalog'::regnamespace AND c.relpersistence <> 't'
            """
        )
        return frozenset(name for (name,) in rows)

    def name_of(self, table: str) -> str:
        if '"."' not in table:
            return table
        ((name,),) = self._rows(f"SELECT {_qualified('to_regclass(%s)')}", relation(table))
        return str(name or table)

    def columns(self, table: str) -> tuple[Column, ...]:
        rows = self._rows(
            """
            SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
                   pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attgenerated <> ''
            FROM pg_catalog.pg_attribute AS a
            LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
            ORDER BY a.attnum
            """,
            relation(table),
        )
        return tuple(
            Column(name=name, type=kind, nullable=nullable, default=default, generated=generated)
            for name, kind, nullable, default, generated in rows
        )

    def primary_key(self, table: str) -> tuple[str, ...]:
        rows = self._rows(
            f"""
            SELECT {_names("i.indkey[0:i.indnkeyatts - 1]", "i.indrelid")}
            FROM pg_catalog.pg_index AS i WHERE i.indrelid = to_regclass(%s) AND i.indisprimary
            """,  # noqa: S608 - constants of this file
            relation(table),
        )
        return tuple(rows[0][0]) if rows else ()

    def indexes(self, table: str) -> tuple[Index, ...]:
        rows = self._rows(
            f"""
            SELECT c.relname, i.indisunique, i.indisprimary, i.indisvalid AND i.indisready,
                   pg_catalog.pg_get_expr(i.indpred, i.indrelid), k.conname IS NOT NULL,
                   NOT i.indnullsnotdistinct, COALESCE(k.condeferrable, FALSE),
                   pg_catalog.pg_get_indexdef(i.indexrelid),
                   ARRAY(SELECT a.attname::text
                         FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS p (attnum, position)
                         LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = p.attnum
                         ORDER BY p.position),
                   ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, n, TRUE) || {COLLATION}
                         FROM generate_series(1, i.indnkeyatts) AS n)
            FROM pg_catalog.pg_index AS i
            JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
            LEFT JOIN pg_catalog.pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
            WHERE i.indrelid = to_regclass(%s)
            ORDER BY c.relname
            """,  # noqa: S608 - constants of this file
            relation(table),
        )
        return tuple(
            Index(
                name=name,
                unique=unique,
                primary=primary,
                valid=valid,
                predicate=predicate,
                constraint=constraint,
                nulls_distinct=nulls_distinct,
                deferrable=deferrable,
                definition=definition,
                columns=tuple(columns),
                keys=tuple(keys),
            )
            for (
                name, unique, primary, valid, predicate, constraint, nulls_distinct, deferrable, definition, columns,
                keys,
            ) in rows
        )  # fmt: skip

    def foreign_keys(self, table: str) -> tuple[ForeignKey, ...]:
        return self._foreign_keys(table, "conrelid")

    def referencing(self, table: str) -> tuple[ForeignKey, ...]:
        return self._foreign_keys(table, "confrelid")

    def _foreign_keys(self, table: str, side: str) -> tuple[ForeignKey, ...]:
        # conparentid: the copies that a partitioned table's key leaves on its partitions are not keys of their own.
        rows = self._rows(
            f"""
            SELECT k.conname,
                   {_qualified("k.conrelid")}, {_qualified("k.confrelid")},
                   {_names("k.conkey", "k.conrelid")}, {_names("k.confkey", "k.confrelid")},
                   k.confdeltype::text, k.condeferrable, k.convalidated,
                   NOT (to_jsonb(k) @> '{{"conenforced": false}}' OR to_jsonb(k) @> '{{"conperiod": true}}')
            FROM pg_catalog.pg_constraint AS k
            WHERE k.contype = 'f' AND k.conparentid = 0 AND k.{side} = to_regclass(%s)
            ORDER BY k.conrelid::regclass::text, k.conname
            """,  # noqa: S608 - constants of this file
            relation(table),
        )
        return tuple(
            ForeignKey(
                name=name,
                table=source,
                columns=tuple(columns),
                target_table=target,
                target_columns=tuple(target_columns),
                on_delete=_ON_DELETE[on_delete],
                deferrable=deferrable,
                validated=validated,
                plain=plain,
            )
            for name, source, target, columns, target_columns, on_delete, deferrable, validated, plain in rows
        )

    def triggers(self, table: str) -> tuple[str, ...]:
        rows = self._rows(
            """
            WITH RECURSIVE parts AS (
                SELECT to_regclass(%s)::oid AS oid
                UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN parts ON parts.oid = i.inhparent
            )
            SELECT DISTINCT tgname FROM pg_catalog.pg_trigger JOIN parts ON tgrelid = parts.oid
            WHERE NOT tgisinternal AND tgenabled <> 'D' ORDER BY tgname
            """,
            relation(table),
        )
        return tuple(name for (name,) in rows)

    def mark(self, tables: Sequence[str]) -> str:
        """What differs when any of these tables has other columns, or is referenced by other keys."""
        found = self._rows(
            """
            WITH held AS (SELECT unnest(%s::regclass[]) AS oid)
            SELECT (SELECT string_agg(concat_ws(' ', a.attrelid, a.attname), ',' ORDER BY a.attrelid, a.attnum)
                    FROM pg_catalog.pg_attribute AS a JOIN held ON a.attrelid = held.oid
                    WHERE a.attnum > 0 AND NOT a.attisdropped),
                   (SELECT string_agg(k.oid::text, ',' ORDER BY k.oid)
                    FROM pg_catalog.pg_constraint AS k JOIN held ON k.confrelid = held.oid)
            """,
            [relation(table) for table in tables],
        )
        return repr(found)

    def hindrance(self, table: str) -> str:
        return hindrance(table, connection=self._connection)

    def row_estimate(self, table: str) -> int:
        name = relation(table)
        ((estimate,),) = self._rows(
            """
            SELECT SUM(c.reltuples) FILTER (WHERE c.relkind <> 'p')
            FROM pg_catalog.pg_class AS c
            WHERE c.oid = to_regclass(%s) OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(to_regclass(%s)))
            """,
            name,
            name,
        )
        if estimate is not None and estimate > 0:
            return int(estimate)
        return int(self._rows(compose("SELECT COUNT(*) FROM {table}", table=table))[0][0])


def _qualified(oid: str) -> str:
    """SQL for a table's name as Django would write it in ``db_table``."""
    return f"""(SELECT CASE WHEN pg_catalog.pg_table_is_visible(r.oid) THEN r.relname::text
                       ELSE n.nspname || '"."' || r.relname END
                FROM pg_catalog.pg_class AS r JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
                WHERE r.oid = {oid})"""  # noqa: S608 - constants of this file


def _names(numbers: str, oid: str) -> str:
    """SQL for the names of the columns with these attribute numbers, in their order."""
    return f"""ARRAY(SELECT a.attname::text FROM unnest({numbers}) WITH ORDINALITY AS p (attnum, position)
                     JOIN pg_catalog.pg_attribute AS a ON a.attrelid = {oid} AND a.attnum = p.attnum
                     ORDER BY p.position)"""  # noqa: S608 - constants of this file
