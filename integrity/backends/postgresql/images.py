"""What of a value a fingerprint is made from: all that can be seen of it.

Two values may be equal and not the same: 1.0 and 1.00, 'John' and 'john' in a column that ignores case. Their types
hash them alike; and some types (json, xml, geometry, pgvector's vector) have no hash at all.
"""

from __future__ import annotations

import re
from typing import Final

from integrity.backends.sql import SQL, compose

_SAME_IF_EQUAL: Final = re.compile(
    r"(smallint|integer|bigint|oid|boolean|uuid|bytea|date|(time|timestamp)(\(\d\))? with(out)? time zone)$"
)
_TEXT: Final = re.compile(r"(text|character varying(\(\d+\))?)$")


def image(column: str, kind: str, *, of: str) -> SQL:
    """An expression that differs where two values of a column of this type do, by a hash of theirs or as text."""
    if _SAME_IF_EQUAL.match(kind):
        return compose("{of}.{column}", of=of, column=column)
    template = "{of}.{column}" if _TEXT.match(kind) else "{of}.{column}::text"
    return compose(f'{template} COLLATE "C"', of=of, column=column)
