"""How many numbers a vector may have: the column's type says, and the provider must agree."""

from __future__ import annotations

from integrity.backends import get_rows
from integrity.backends.sql import SQL
from integrity.exceptions import IntegrityAppError
from integrity.pipeline.providers import Provider


class WrongDimensions(IntegrityAppError):
    """The provider's vectors do not fit into the column."""


def column_dimensions(*, using: str) -> int | None:
    """How many numbers ``file_embeddings.embedding`` takes; None where any number fits."""
    found = get_rows(using=using).fetch(
        SQL("""
            SELECT NULLIF(atttypmod, -1) FROM pg_catalog.pg_attribute
            WHERE attrelid = to_regclass('file_embeddings') AND attname = 'embedding'
        """)
    )
    return found[0][0] if found else None


def require_dimensions(provider: Provider, *, using: str) -> None:
    """Make sure that what the provider makes can be stored.

    Raises:
        WrongDimensions: the column takes vectors of another length.
    """
    wanted = column_dimensions(using=using)
    if wanted not in (None, provider.dimensions):
        raise WrongDimensions(
            f"{provider.model} makes vectors of {provider.dimensions} numbers, file_embeddings.embedding takes "
            f"{wanted}. Choose a provider with {wanted} dimensions, or change the column's type first."
        )
