"""Finding and staging groups: rows whose key is repeated are picked out by a hash of it, which is read in parallel."""

from __future__ import annotations

from django.db import DatabaseError, transaction

from integrity.backends.postgresql.repeated import SORT_HASHES, hash_functions, key_hash, repeated_hashes
from integrity.backends.postgresql.settings import settings
from integrity.backends.ranking import GroupQuery, ranked_select
from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, compose
from integrity.backends.statements import Query

_PAGE_OVERHEAD = 32  # bytes of a page with one row that are not the row's


class PostgreSQLGroups(Rows):
    """What a plan asks of all rows of a table."""

    def create_as(self, name: str, query: Query) -> None:
        super().create_as(name, query)
        # Without an identity, a publication FOR ALL TABLES refuses every UPDATE and DELETE of a table that has no
        # primary key. Rows that fit into a page stay in one piece: cutting them up (TOAST) made moving vectors slower
        # by a third.
        whole = int(self.value(SQL("SHOW block_size"))) - _PAGE_OVERHEAD
        self.execute(
            compose(
                "ALTER TABLE {name} REPLICA IDENTITY FULL, SET (toast_tuple_target = {whole})",
                name=name,
                whole=SQL(str(whole)),
            )
        )

    def count_groups(self, keys: Query, *, key_count: int) -> tuple[int, int]:
        hashed = self._key_hash(keys, key_count)
        if hashed is None:
            return super().count_groups(keys, key_count=key_count)
        with transaction.atomic(using=self.connection.alias), settings(self.connection, SORT_HASHES):
            hashes = repeated_hashes(keys, hashed)
            repeated = compose(
                """
                WITH hashes AS MATERIALIZED ({hashes})
                SELECT r.* FROM ({keys}) AS r WHERE {hashed} IN (SELECT h FROM hashes)
                """,
                hashes=hashes.sql,
                keys=keys.sql,
                hashed=hashed,
            )
            query = Query(sql=repeated, params=hashes.params + keys.params)
            return super().count_groups(query, key_count=key_count)

    def _key_hash(self, keys: Query, key_count: int) -> SQL | None:
        """The hash of a key; None if a part has none: money, bit, tsvector and vector are only sorted."""
        functions = hash_functions(keys, key_count)
        hashed = key_hash(self.fetch(functions.sql, functions.params)[0])
        no_row = compose(
            "SELECT {hashed} FROM (SELECT 1) AS one LEFT JOIN ({keys}) AS k ON FALSE", hashed=hashed, keys=keys.sql
        )
        try:
            with transaction.atomic(using=self.connection.alias):
                self.fetch(no_row, keys.params)
        except DatabaseError:
            return None
        return hashed

    def stage_groups(self, name: str, query: GroupQuery) -> None:
        with transaction.atomic(using=self.connection.alias), settings(self.connection, SORT_HASHES):
            hashed = self._key_hash(query.keys, query.key_count)
            if hashed is not None:
                self._stage_by_hash(name, query, hashed)
            else:
                self.create_as(name, Query(sql=ranked_select(query, source=query.rows.sql), params=query.rows.params))

    def _stage_by_hash(self, name: str, query: GroupQuery, hashed: SQL) -> None:
        hashes = f"{name}_hashes"
        self.create_as(hashes, repeated_hashes(query.keys, hashed))
        self.analyze(hashes)
        # Unlike a WITH query, all workers can read it: now they share the scan.
        self.execute(SQL("SET LOCAL min_parallel_table_scan_size TO DEFAULT"))
        source = compose(
            "SELECT r.* FROM ({rows}) AS r WHERE {hashed} IN (SELECT h FROM {hashes})",
            rows=query.rows.sql,
            hashed=hashed,
            hashes=hashes,
        )
        self.create_as(name, Query(sql=ranked_select(query, source=source), params=query.rows.params))
        self.drop(hashes)

    def analyze(self, name: str) -> None:
        self.execute(compose("ANALYZE {name}", name=name))
