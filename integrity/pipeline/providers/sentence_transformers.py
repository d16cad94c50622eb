"""Embeddings from a model on this machine. Needs the optional package ``sentence-transformers``."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from integrity.pipeline.providers.base import ProviderMisconfigured, Vectors, check_answer


class SentenceTransformersProvider:
    """Runs a model in the worker's own process; loaded once, at the first call."""

    def __init__(self, *, model: str, dimensions: int, path: str | None = None, device: str | None = None) -> None:
        """Name the model, and how many numbers its vectors have.

        Args:
            model: stored as ``model_version``: the same on every machine.
            dimensions: numbers per vector that the model must make.
            path: the folder that holds it here; without, the package finds it by its name, in its cache or online.
            device: such as ``cpu`` or ``cuda``; without, the package chooses.
        """
        self.model = model
        self.dimensions = dimensions
        self._path = path
        self._device = device
        self._lock = threading.Lock()
        self._model: Any = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector per text; what is longer than the model reads does not count.

        Raises:
            ProviderMisconfigured: the package, the model or the device is missing, or the vectors have another length.
            BadAnswer: not one usable vector per text.
        """
        answer = self._loaded().encode(list(texts), convert_to_numpy=True, show_progress_bar=False)
        return check_answer(answer, count=len(texts), dimensions=self.dimensions)

    def _loaded(self) -> Any:
        with self._lock:  # one copy of it, however many workers share this provider
            self._model = self._model or self._load()
            return self._model

    def _load(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ProviderMisconfigured("Run: pip install sentence-transformers.") from error
        try:
            return SentenceTransformer(self._path or self.model, device=self._device)
        except (OSError, ValueError, RuntimeError, AssertionError) as error:  # the last: no such device in this torch
            raise ProviderMisconfigured(f"The model {self.model!r} cannot be loaded: {error}") from error
