"""Keys that occur more than once, found by sorting their hashes; keys of types that have none are sorted themselves.

Two passes: 64-bit hashes of the keys are cheap to sort, and only the rows of repeated hashes are then read in full.
Different keys with one hash fall apart again where the caller groups by the key itself. Sorting the hashes took half
of the time that PostgreSQL's choice, a hash table that spills, did (3 M rows).
"""

from __future__ import annotations

from typing import Final

from integrity.backends.sql import SQL, columns, compose, joined, numbered
from integrity.backends.statements import Query

SORT_HASHES: Final = {
    "work_mem": "256MB",
    "enable_hashagg": "off",
    "parallel_tuple_cost": "0",
    "min_parallel_table_scan_size": "1TB",
}
"""Settings for ``repeated_hashes``."""


def key_hash(key_count: int) -> SQL:
    """The hash of a row's ``k`` columns."""
    return compose("hash_record_extended(ROW({k}), 0)", k=columns(numbered("k", key_count)))


def repeated_hashes(keys: Query, key_count: int) -> Query:
    """A query of the hashes ``h`` of the keys that occur more than once, and perhaps of a few others.

    The hashes are halved by their last bit, so that two workers can sort one half each (Parallel Append); workers
    that share a scan instead would have to send every hash to one process that counts.
    """
    halves = (
        compose(
            "SELECT h FROM (SELECT {key_hash} AS h FROM ({keys}) AS k) AS k WHERE h & 1 = {bit} "
            "GROUP BY h HAVING COUNT(*) > 1",
            key_hash=key_hash(key_count),
            keys=keys.sql,
            bit=SQL(bit),
        )
        for bit in ("0", "1")
    )
    return Query(sql=joined(" UNION ALL ", halves), params=keys.params * 2)
