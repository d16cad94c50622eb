"""Values for which Python has no type, as the server writes them: infinite times, years before Christ, odd bytes."""

from __future__ import annotations

from typing import Any

from psycopg import DataError
from psycopg.abc import AdaptContext, Buffer
from psycopg.abc import Loader as AnyLoader
from psycopg.adapt import AdaptersMap, Loader
from psycopg.pq import Format

_TIMES = ("date", "time", "timetz", "timestamp", "timestamptz", "interval")
_TEXTS = ("text", "varchar", "bpchar", "name", "json", "jsonb")
_UNKNOWN = 0
"""What psycopg looks a loader up by for types that it does not know."""


def let_text_be(adapters: AdaptersMap) -> None:
    """Read a value as the server's text where psycopg cannot load it, alone or in an array; all others as before."""
    for oid in (*(adapters.types[name].oid for name in (*_TIMES, *_TEXTS)), _UNKNOWN):
        known = adapters.get_loader(oid, Format.TEXT)
        if known is not None:
            adapters.register_loader(oid, _or_text(known))


def _or_text(known: type[AnyLoader]) -> type[Loader]:
    class OrText(Loader):
        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._known = known(oid, context)

        def load(self, data: Buffer) -> Any:
            try:
                return self._known.load(data)
            except (DataError, NotImplementedError, UnicodeDecodeError):
                return bytes(data).decode("utf-8", "backslashreplace")

    return OrText
