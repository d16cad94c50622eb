"""Find chunks by meaning, over the version of each file that is served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, DataError, transaction

from integrity.backends import get_catalogue, get_rows
from integrity.backends.fault import words
from integrity.backends.sql import SQL, compose
from integrity.backends.supported import require_postgresql
from integrity.exceptions import IntegrityAppError
from integrity.pipeline.assumed import require_chosen
from integrity.pipeline.dimensions import WrongDimensions
from integrity.pipeline.providers import (
    Provider,
    ProviderError,
    ProviderUnavailable,
    check_answer,
    get_provider,
)

_MOST: Final = 1000
_SETTINGS: Final = {
    "ivfflat.probes": "20",  # lists of the index to look into at first;
    "ivfflat.iterative_scan": "relaxed_order",  # more follow until k rows are found: versions not served do not count
}


class SearchUnavailable(IntegrityAppError):
    """This database cannot compare vectors."""


class InvalidSearch(IntegrityAppError, ValueError):
    """There is nothing to look for, or no sensible number of results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One chunk; ``score`` is the cosine similarity, 1 for the same direction."""

    chunk: UUID
    file: UUID
    version: int
    chunk_index: int
    content: str
    score: float


def search(*, query: str, k: int = 10, provider: Provider | None = None, using: str = DEFAULT_DB_ALIAS) -> list[Hit]:
    """Return the ``k`` chunks nearest to ``query``, nearest first: one statement, one version per file.

    Raises:
        InvalidSearch: the query is blank, or k is not between 1 and 1000.
        ProviderError: the query could not be embedded; or no provider is given, the settings name none, and there are
            files or vectors of another model than the default one's.
        SearchUnavailable: the database has no pgvector.
        UnsupportedDatabase: it is not PostgreSQL.
        WrongDimensions: the stored vectors of the provider's model have another length than its own.
    """
    if not query.strip() or not 1 <= k <= _MOST:
        raise InvalidSearch(f"Give a query that is not blank, and a number of results from 1 to {_MOST}.")
    is_given, provider = provider is not None, provider or get_provider()
    vector = _embed(query, provider=provider)
    require_pgvector(using=using)
    if not is_given:
        require_chosen(provider.model, using=using)  # else nothing would be found, and nobody would know why
    try:
        return _nearest(vector, model=provider.model, k=k, using=using)
    except DataError as error:
        raise WrongDimensions(
            f"{provider.model} makes vectors of {provider.dimensions} numbers, and the stored ones have other lengths: "
            f"{words(error)} Correct INTEGRITY_EMBEDDING_PROVIDER, or process the files again."
        ) from error


def _embed(query: str, *, provider: Provider) -> list[float]:
    try:
        answer = provider.embed([query])
    except ProviderError:
        raise
    except Exception as error:
        raise ProviderUnavailable(f"The query could not be embedded: {type(error).__name__}: {words(error)}") from error
    numbers: list[float] = check_answer(answer, count=1, dimensions=provider.dimensions)[0].tolist()
    return numbers


def _nearest(vector: list[float], *, model: str, k: int, using: str) -> list[Hit]:
    rows = get_rows(using=using)
    with transaction.atomic(using=using):
        for name, value in _SETTINGS.items():
            rows.fetch(SQL("SELECT set_config(%s, %s, TRUE)"), (name, value))
        found = rows.fetch(
            compose(
                """
                WITH nearest AS MATERIALIZED (
                    SELECT c.id, c.file_id, c.version, c.chunk_index, c.content,
                           {embedding} <=> %s::real[]::vector AS distance
                    FROM file_embeddings AS e
                    JOIN file_chunks AS c ON c.id = e.chunk_id
                    JOIN integrity_file_state AS s ON s.file_id = c.file_id AND s.serving_version = c.version
                    WHERE e.model_version = %s
                    ORDER BY distance LIMIT %s
                )
                SELECT id, file_id, version, chunk_index, content, 1 - distance FROM nearest ORDER BY distance, id
                """,
                embedding=_embedding(using=using),
            ),
            (vector, model, k),
        )
    return [
        Hit(chunk=chunk, file=file, version=version, chunk_index=index, content=content, score=score)
        for chunk, file, version, index, content, score in found
    ]


def _embedding(*, using: str) -> SQL:
    """The column as a vector: where pgvector came after our tables, it is still an array."""
    types = {column.name: column.type for column in get_catalogue(using=using).columns("file_embeddings")}
    return SQL("e.embedding::vector" if types.get("embedding", "").endswith("[]") else "e.embedding")


def require_pgvector(*, using: str) -> None:
    """Make sure that this database can compare vectors.

    Raises:
        SearchUnavailable: it has no pgvector.
        UnsupportedDatabase: it is not PostgreSQL.
    """
    require_postgresql(what="Search", using=using)
    if get_rows(using=using).value(SQL("SELECT to_regtype('vector')")) is None:
        raise SearchUnavailable("Search needs pgvector. Run CREATE EXTENSION vector, on a server that offers it.")
