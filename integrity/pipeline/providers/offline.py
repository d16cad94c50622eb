"""Embeddings without a network: a hashing vectoriser. For demo, tests, and finding by shared words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from integrity.pipeline.providers.base import Vectors


@dataclass(frozen=True, kw_only=True)
class OfflineProvider:
    """Counts words, and the three-letter pieces of words, in ``dimensions`` signed buckets.

    Equal texts have equal vectors, on every machine and in every process; texts that share words are near one
    another. Every vector has the length 1.
    """

    dimensions: int = 1536

    @property
    def model(self) -> str:
        """Names the way of hashing and the number of buckets."""
        return f"offline-hashing-{self.dimensions}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector per text."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            self._add(text, row)
        return vectors

    def _add(self, text: str, row: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
        for feature, weight in _features(text):
            code = crc32(feature.encode("utf-8", "surrogatepass"))
            row[(code >> 1) % self.dimensions] += weight if code & 1 else -weight
        if not row.any():  # a text without a word, or one whose features cancel each other out
            row[crc32(text.encode("utf-8", "surrogatepass")) % self.dimensions] = 1.0
        row /= np.linalg.norm(row)


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in re.findall(r"\w+", text.lower()):
        yield word, 1.0
        padded = f"^{word}$"
        for start in range(len(padded) - 2):
            yield padded[start : start + 3], 0.25
