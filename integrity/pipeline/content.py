"""What a version of a file is made of: pieces that PostgreSQL can store, and their fingerprint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

from integrity.exceptions import IntegrityAppError
from integrity.pipeline.chunking import Chunker

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class InvalidText(IntegrityAppError, ValueError):
    """A text that PostgreSQL cannot store, a model that there cannot be, or not exactly one of text and chunks."""


def pieces_of(text: str | None, chunks: Sequence[str] | None, *, chunker: Chunker, file: UUID) -> list[str]:
    """Return the pieces of a text, or the ready-made ones.

    Raises:
        InvalidText: both or none are given, or they hold what PostgreSQL cannot store.
    """
    if (text is None) == (chunks is None) or isinstance(chunks, str):
        raise InvalidText("Give either text, or chunks as a list of texts.")
    pieces = chunker.split(text) if text is not None else list(chunks or ())
    _require_storable(pieces, file=file)
    return pieces


def content_hash(pieces: Sequence[str], *, chunker: str, model: str) -> str:
    """Fingerprint all that a version is made of; the lengths keep ``["ab"]`` and ``["a", "b"]`` apart."""
    digest = sha256(f"{chunker}\n{model}\n".encode())
    for piece in pieces:
        data = piece.encode()
        digest.update(f"{len(data)}\n".encode() + data)
    return digest.hexdigest()


def _require_storable(pieces: Sequence[str], *, file: UUID) -> None:
    for piece in pieces:
        if "\x00" in piece or (not piece.isascii() and _SURROGATE.search(piece)):
            raise InvalidText(
                f"The text of file {file} holds a NUL character or half a surrogate pair, which PostgreSQL cannot "
                "store: remove it."
            )
