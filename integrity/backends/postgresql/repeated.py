"""Keys that occur more than once, found by sorting their hashes; keys of types that have none are sorted themselves.

Two passes: 64-bit hashes of the keys are cheap to sort, and only the rows of repeated hashes are then read in full.
Different keys with one hash fall apart again where the caller groups by the key itself. Sorting the hashes took half
of the time that PostgreSQL's choice, a hash table that spills, did (3 M rows).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from integrity.backends.sql import SQL, catalogued, compose, joined, numbered
from integrity.backends.statements import Query

SORT_HASHES: Final = {
    "work_mem": "256MB",
    "enable_hashagg": "off",
    "parallel_tuple_cost": "0",
    "min_parallel_table_scan_size": "1TB",
}
"""Settings for ``repeated_hashes``."""


def hash_functions(keys: Query, key_count: int) -> Query:
    """A query, of one row, of the functions that hash the ``k`` columns; NULL where a type has none of its own."""
    functions = (
        compose(
            """
            (SELECT p.amproc::oid::regproc::text FROM pg_catalog.pg_opclass AS o
             JOIN pg_catalog.pg_am AS a ON a.oid = o.opcmethod AND a.amname = 'hash'
             JOIN pg_catalog.pg_amproc AS p ON p.amprocfamily = o.opcfamily AND p.amproclefttype = o.opcintype
                                           AND p.amprocrighttype = o.opcintype AND p.amprocnum = 2
             WHERE o.opcdefault AND o.opcintype = COALESCE(NULLIF(pg_typeof({k}), 'varchar'::regtype), 'text'::regtype))
            """,
            k=k,
        )
        for k in numbered("k", key_count)
    )
    sql = compose(
        "SELECT {functions} FROM (SELECT 1) AS one LEFT JOIN ({keys}) AS k ON FALSE",
        functions=joined(", ", functions),
        keys=keys.sql,
    )
    return Query(sql=sql, params=keys.params)


def key_hash(functions: Sequence[str | None]) -> SQL:
    """The hash of a row's ``k`` columns, each with its number as the seed: a swapped pair is another key.

    A type's own function takes a third of the time that hashing a row with the value in it takes.
    """
    return joined(
        " # ",
        (
            f"COALESCE({catalogued(function)}({k}, {n}), 0)" if function else f"hash_record_extended(ROW({k}), {n})"
            for n, (k, function) in enumerate(zip(numbered("k", len(functions)), functions, strict=True), 1)
        ),
    )


def repeated_hashes(keys: Query, hashed: SQL) -> Query:
    """A query of the hashes ``h`` of the keys that occur more than once, and perhaps of a few others.

    The hashes are halved by their last bit, so that two workers can sort one half each (Parallel Append); workers
    that share a scan instead would have to send every hash to one process that counts.
    """
    halves = (
        compose(
            "SELECT h FROM (SELECT {hashed} AS h FROM ({keys}) AS k) AS k WHERE h & 1 = {bit} "
            "GROUP BY h HAVING COUNT(*) > 1",
            hashed=hashed,
            keys=keys.sql,
            bit=SQL(bit),
        )
        for bit in ("0", "1")
    )
    return Query(sql=joined(" UNION ALL ", halves), params=keys.params * 2)
