"""Vectors on their way into the database, a batch in one statement and in binary.

Where pgvector is installed they travel as one ``vector[]``, elsewhere as one flat ``real[]``, from which each row takes
its slice. Both can be assigned to a column of ``vector`` and of ``real[]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np
import psycopg
from django.db import connections

from integrity.backends.sql import array
from integrity.models.fields import uuid7
from integrity.pipeline.arrays import NumbersDumper, vectors_dumper
from integrity.pipeline.providers import Vectors

_AS_VECTORS: Final = "SELECT * FROM unnest(%(ids)s::uuid[], %(chunks)s::uuid[], %(vectors)s)"
_AS_NUMBERS: Final = """
    SELECT id, chunk_id, (%(vectors)s)[(position - 1) * %(width)s + 1 : position * %(width)s]
    FROM unnest(%(ids)s::uuid[], %(chunks)s::uuid[]) WITH ORDINALITY AS row (id, chunk_id, position)
"""
_INSERT: Final = """
    INSERT INTO file_embeddings (id, chunk_id, embedding, model_version, created_at, updated_at)
    SELECT made.id, c.id, made.vector, %(model)s::text, now(), now()
    FROM ({made}) AS made (id, chunk_id, vector)
    JOIN file_chunks AS c ON c.id = made.chunk_id AND c.is_active
    ORDER BY c.id
    ON CONFLICT (chunk_id, model_version) DO NOTHING
    RETURNING chunk_id
"""


def insert_vectors(*, chunks: Sequence[UUID], vectors: Vectors, model: str, using: str) -> set[UUID]:
    """Store the vectors of those chunks that are active and have none by this model; return these chunks.

    Works in the caller's transaction. Locks the chunks FOR KEY SHARE, in order of their ids.
    """
    connection: Any = connections[using]
    connection.ensure_connection()
    # Django's own cursors send values as text; this one sends them apart from the statement, in binary.
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        dumper = vectors_dumper(connection.connection)
        cursor.adapters.register_dumper(np.ndarray, dumper or NumbersDumper)
        made = _AS_VECTORS if dumper else _AS_NUMBERS
        cursor.execute(
            _INSERT.format(made=made),
            {
                "ids": array(uuid7() for _ in chunks),  # gen_random_uuid() would take 4 us for each
                "chunks": array(chunks),
                "vectors": vectors,
                "width": vectors.shape[1],
                "model": model,
            },
        )
        return {chunk for (chunk,) in cursor.fetchall()}
