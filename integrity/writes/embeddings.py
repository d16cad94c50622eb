"""Store computed embeddings: one for each invocation and embedding model, complete from its first moment.

Compute first, then write: no placeholder is ever committed, so there is nothing that a crash could leave behind. A
placeholder of an older writer, or a vector of the wrong length, is completed, and keeps its dates where none are
given; a finished row is never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import Exact

from integrity.models import Embedding
from integrity.models.fields import InvalidVector, Vector
from integrity.models.fields.vector import STORED, checked
from integrity.writes.asynchronous import asynchronous
from integrity.writes.results import UpsertResult
from integrity.writes.upsert import CHUNK, OnError, upsert
from integrity.writes.values import Row

_DIMENSIONS: int = Embedding._meta.get_field("vector").dimensions
_CHUNK = CHUNK // 10
"""Fewer rows at a time: each brings 3 kB."""


@dataclass(frozen=True, kw_only=True)
class NewEmbedding:
    """One computed embedding; ``vector`` is an array or a list of 768 finite numbers, not all of them 0."""

    invocation_id: UUID
    embedding_model: str
    vector: Vector | Sequence[float]
    started_at: datetime | None = None
    completed_at: datetime | None = None


def store_embeddings(
    *, embeddings: Iterable[NewEmbedding], on_error: OnError = "raise", using: str = DEFAULT_DB_ALIAS
) -> UpsertResult:
    """Store embeddings; those that are there already and complete are ``unchanged``, whoever wrote them.

    Streams in chunks of 2,000, each its own transaction.

    Raises:
        RowRejected: a vector is none; it names the embedding. With ``on_error="isolate"`` it is in ``failed``.
        MissingReference: there is no such invocation (or it is in ``failed``).
        IntegrityAppError: as ``upsert``.
    """
    return upsert(
        model=Embedding,
        rows=map(vars, embeddings),
        constraint="unique_invocation_embedding_model",
        coalesce=("started_at", "completed_at"),
        overwrite=Q(vector__isnull=True) | ~Q(Exact(Length("vector"), _DIMENSIONS * STORED.itemsize)),
        check=_require_direction,
        on_error=on_error,
        chunk_size=_CHUNK,
        using=using,
    )


def _require_direction(row: Row) -> None:
    """Refuse no vector, none of this model's dimensions, and one of zeros: it has no distance to anything."""
    if row["vector"] is None:
        raise InvalidVector("there is no vector; compute it first, then store it.")
    if not checked(row["vector"], dimensions=_DIMENSIONS, field="vector").any():
        raise InvalidVector("the vector's norm is 0.")


astore_embeddings = asynchronous(store_embeddings)
