"""Embeddings from a model on this machine. Needs the optional package ``sentence-transformers``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from integrity.pipeline.providers.base import ProviderMisconfigured, Vectors, check_answer


class SentenceTransformersProvider:
    """Runs a model in the worker's own process; loaded at the first call."""

    def __init__(self, *, model: str, dimensions: int, device: str | None = None) -> None:
        """Name the model as the package does, and how many numbers its vectors have."""
        self.model = model
        self.dimensions = dimensions
        self._device = device

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector per text.

        Raises:
            ProviderMisconfigured: the package or the model is missing.
            BadAnswer: the model has other dimensions than it was declared with.
        """
        answer = self._loaded.encode(list(texts), convert_to_numpy=True, show_progress_bar=False)
        return check_answer(answer, count=len(texts), dimensions=self.dimensions)

    @cached_property
    def _loaded(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ProviderMisconfigured("Run: pip install sentence-transformers.") from error
        try:
            return SentenceTransformer(self.model, device=self._device)
        except (OSError, ValueError) as error:
            raise ProviderMisconfigured(f"The model {self.model!r} cannot be loaded: {error}") from error
