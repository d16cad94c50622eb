"""What a provider of embeddings promises, how it fails, and the check of what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from integrity.exceptions import IntegrityAppError

Vectors: TypeAlias = NDArray[np.float32]
"""One row per text, in the order of the texts."""

SHORTEST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(minutes=10)
LONGEST_NAME: Final = 200  # the breaker's name
_FLOAT: Final = np.finfo(np.float32)


class Provider(Protocol):
    """Makes vectors of texts. Called by several threads at once, with no transaction open."""

    @property
    def model(self) -> str:
        """Names the model; stored as ``model_version`` beside each vector."""
        ...

    @property
    def dimensions(self) -> int:
        """Numbers per vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector per text, in order, shape ``(len(texts), dimensions)``.

        Raises:
            ProviderError: one of its kinds; which one decides what becomes of the messages.
        """
        ...


class ProviderError(IntegrityAppError):
    """The provider gave no vectors."""


class ProviderUnavailable(ProviderError):
    """It could not be reached, took too long, or is broken: the same call may succeed later."""


class RateLimited(ProviderUnavailable):
    """It asks to be called less often. No message is at fault: none of them has failed."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        """``retry_after`` counts as 1 s at least and as 10 minutes at most."""
        super().__init__(message)
        self.retry_after = min(max(retry_after, SHORTEST_PAUSE), LONGEST_PAUSE)


class ProviderMisconfigured(ProviderUnavailable):
    """It refuses us, whatever we send: a wrong key, address or model name. No message is at fault."""


class InputRejected(ProviderError):
    """It will never take one of these texts."""


class BadAnswer(ProviderError):
    """It answered, and not with one usable vector per text."""


def checked(provider: Any) -> Provider:
    """Return what ought to be a provider.

    Raises:
        ProviderMisconfigured: it lacks something, or its model's name cannot be stored.
    """
    lacking = [name for name in ("model", "dimensions", "embed") if not hasattr(provider, name)]
    if lacking:
        raise ProviderMisconfigured(
            f"{type(provider).__name__} is no provider: it has no {' and no '.join(lacking)}. "
            "Correct INTEGRITY_EMBEDDING_PROVIDER."
        )
    model = str(provider.model)
    if not is_name(model):
        raise ProviderMisconfigured(
            f"The model of {type(provider).__name__} is called {model[:50]!r}, of {len(model)} characters. "
            f"Give it a name of 1 to {LONGEST_NAME} printable ones."
        )
    found: Provider = provider
    return found


def is_name(model: str) -> bool:
    """Whether a model may be called so: its name is stored with every vector, and is the breaker's."""
    return 0 < len(model) <= LONGEST_NAME and model.isprintable()


def said(error: ProviderError) -> str:
    """Return what an error says as text that a database keeps: without NUL and halves of surrogate pairs."""
    return str(error).replace("\0", "").encode(errors="replace").decode()


def check_answer(answer: Any, *, count: int, dimensions: int) -> Vectors:
    """Return the answer as ``count`` float32 vectors.

    Raises:
        ProviderMisconfigured: its vectors have other dimensions: no repetition will change that.
        BadAnswer: it has another shape, or holds NaN, infinity, or a vector that no cosine can be computed with.
    """
    try:
        vectors = np.asarray(answer, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadAnswer(f"The provider's answer is not made of vectors: {error}.") from error
    if vectors.ndim == 2 and vectors.shape[0] == count and vectors.shape[1] != dimensions:
        raise ProviderMisconfigured(
            f"The provider's vectors have {vectors.shape[1]} numbers; it was declared with {dimensions}. "
            "Correct INTEGRITY_EMBEDDING_PROVIDER."
        )
    if vectors.shape != (count, dimensions):
        raise BadAnswer(
            f"The provider answered {count} texts with the shape {vectors.shape}; ({count}, {dimensions}) is right."
        )
    if not np.isfinite(vectors).all():
        raise BadAnswer(f"Vector {int(np.argmin(np.isfinite(vectors).all(axis=1)))} of the answer is not finite.")
    with np.errstate(over="ignore", under="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)  # in float32, as pgvector computes them
    if not (usable := (squares >= _FLOAT.tiny) & (squares <= _FLOAT.max)).all():
        # Cosine distance to it is undefined: it would never be found.
        raise BadAnswer(
            f"Vector {int(np.argmin(usable))} of the answer is all zeros, or too short or too long to compare."
        )
    return vectors
