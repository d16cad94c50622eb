"""Values that Python has no type for."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.adapt import AdaptersMap
from psycopg.pq import Format

from integrity.backends.postgresql.loading import let_text_be


@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        ("text", b"Zo\xeb", "Zo\\xeb"),  # as a database in SQL_ASCII may hold it
        ("text", "Zoë".encode(), "Zoë"),
        ("date", b"infinity", "infinity"),
    ],
)
def test_what_cannot_be_loaded_is_read_as_it_is_written(kind: str, written: bytes, read: str) -> None:
    adapters = AdaptersMap(psycopg.adapters)
    let_text_be(adapters)
    oid = adapters.types[kind].oid
    loader = adapters.get_loader(oid, Format.TEXT)

    assert loader is not None
    assert loader(oid).load(written) == read
