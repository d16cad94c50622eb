"""From a file's text to its chunks: a pure function of the text, so that an unchanged text makes unchanged chunks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from integrity.exceptions import IntegrityAppError


class InvalidChunker(IntegrityAppError, ValueError):
    """It could split no text."""


class Chunker(Protocol):
    """Splits text. ``name`` stands for the way it does: another name means other chunks for the same text."""

    @property
    def name(self) -> str: ...

    def split(self, text: str) -> list[str]: ...


@dataclass(frozen=True, kw_only=True)
class Paragraphs:
    """Packs whole paragraphs into chunks of at most ``longest`` characters; only longer ones are cut, at a space.

    Raises:
        InvalidChunker: ``longest`` is less than 1.
    """

    longest: int = 1200

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise InvalidChunker(f"A chunk has at least 1 character; longest is {self.longest}. Give a larger one.")

    @property
    def name(self) -> str:
        """Names the way of splitting and its parameter."""
        return f"paragraphs-{self.longest}"

    def split(self, text: str) -> list[str]:
        """Return the chunks in order; none for a text without a visible character."""
        chunks: list[str] = []
        for piece in self._pieces(text):
            if chunks and len(chunks[-1]) + len(piece) + 2 <= self.longest:
                chunks[-1] += f"\n\n{piece}"
            else:
                chunks.append(piece)
        return chunks

    def _pieces(self, text: str) -> Iterator[str]:
        for paragraph in re.split(r"\n\s*\n", text):
            rest, start = paragraph.strip(), 0
            while len(rest) - start > self.longest:  # by places: to copy what is left each time takes for ever
                cut = rest.rfind(" ", start + 1, start + self.longest + 1)
                cut = cut if cut > 0 else start + self.longest
                yield rest[start:cut].rstrip()
                while rest[cut].isspace():
                    cut += 1
                start = cut
            if rest:
                yield rest[start:]
