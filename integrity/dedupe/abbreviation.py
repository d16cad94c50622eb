"""Values as people can take them in: short, telling what was left out, and the same for a page and a terminal."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy as np
from django.contrib.auth.hashers import identify_hasher

from integrity.dedupe.vectors import vector_of

_LONGEST_TEXT = 200
_FIRST_BYTES = 8
_FIRST_NUMBERS = 3


def abbreviate(value: Any, *, vector: bool = False) -> str | None:
    """Return a stored value in at most some 200 characters; None for NULL.

    Blobs are told by their length and first bytes, vectors (``vector``) by length, norm and first numbers, hashes of
    passwords by their algorithm, as in Django's own admin.
    """
    if value is None:
        return None
    if vector:
        return _vector(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _blob(bytes(value))
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return _text(str(value))


def to_the_minute(time: datetime.datetime) -> str:
    """Return a time with its zone, if it has one: with ``USE_TZ = False`` it has none."""
    return f"{time:%Y-%m-%d %H:%M %Z}".rstrip()


def size_of(value: Any) -> str:
    """Return what sets this value apart from others of its kind: ``empty``, ``3072 bytes``, or the value, short."""
    if value is None:
        return "empty"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(bytes(value))} bytes"
    return str(abbreviate(value))


def _vector(value: Any) -> str:
    numbers = vector_of(value)
    if not numbers.size:
        return f"no vector: {size_of(value)}"
    norm = float(np.linalg.norm(numbers.astype(np.float64)))
    first = ", ".join(f"{number:.4g}" for number in numbers[:_FIRST_NUMBERS].tolist())
    return f"{numbers.size} numbers, norm {norm:.4g}: {first}{', …' if numbers.size > _FIRST_NUMBERS else ''}"


def _blob(data: bytes) -> str:
    if not data:
        return "0 bytes"
    return f"{len(data)} bytes: {data[:_FIRST_BYTES].hex(' ')}{' …' if len(data) > _FIRST_BYTES else ''}"


def _text(text: str) -> str:
    if (algorithm := _hashed_by(text)) is not None:
        return f"{algorithm}$… (hash of a password)"
    if len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"


def _hashed_by(text: str) -> str | None:
    """The algorithm of a password's hash, if Django knows the text for one."""
    if "$" not in text:
        return None
    try:
        return str(identify_hasher(text).algorithm)
    except ValueError:
        return None
