"""One message: as JSON that PostgreSQL can store, and as it was read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

from integrity.exceptions import IntegrityAppError
from integrity.queue.leases import Lease

DEEPEST: Final = 100
MOST: Final = (1 << 31) - 1  # failures or returns of one message: PGMQ counts no more reads


class UnsendableMessage(IntegrityAppError, ValueError):
    """The message is not JSON that PostgreSQL can store."""


class Message(NamedTuple):
    """A message and the lease on it. ``body`` is None where it is larger than the reader wanted, or unreadable."""

    lease: Lease
    """What allows this reader, and no later one, to change the message."""
    body: Any
    size: int
    """Bytes of the message as JSON text."""
    headers: dict[str, Any]
    fault: str
    """Why Python cannot read what PostgreSQL could store; empty where it can."""

    @property
    def msg_id(self) -> int:
        return self.lease.msg_id

    @property
    def read_ct(self) -> int:
        return self.lease.read_ct

    def count(self, header: str) -> int:
        """A number that earlier readers left in the headers; 0 where there is none that they can have left."""
        value = self.headers.get(header)
        return value if isinstance(value, int) and 0 <= value <= MOST else 0


def decoded(value: Any) -> tuple[Any, str]:
    """Return a JSON value, or None and why it cannot be read. On Django's connection it is still text.

    PostgreSQL stores numbers of any length and takes deeper nesting than Python: a sender must not be able to end
    its readers.
    """
    try:
        if not isinstance(value, str):
            return value, ""
        found = _DECODER.decode(value)
        is_deep = value.count("{") + value.count("[") > DEEPEST and _is_deep(found)
    except RecursionError:
        is_deep = True
    except ValueError:  # PostgreSQL has seen to it that it is JSON
        return None, "it holds a number of too many digits"
    return (None, f"it is nested more than {DEEPEST} levels deep") if is_deep else (found, "")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


_DECODER: Final = json.JSONDecoder(parse_float=_finite)  # json.loads would make one for each message


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def json_text(value: Any) -> str:
    r"""Return JSON text that a jsonb column can hold.

    Raises:
        UnsendableMessage: it is not JSON, or holds ``\u0000`` or half a surrogate pair, which jsonb cannot.
    """
    try:
        text = json.dumps(value, allow_nan=False)
        if "\\u" in text:
            _require_storable("".join(_texts(value)))
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsendableMessage(
            f"This message cannot be stored as JSON: {error}. Send objects of text, numbers and ids."
        ) from None
    return text


def _require_storable(text: str) -> None:
    text.encode()
    if "\x00" in text:
        raise ValueError("it holds a NUL character")


def _texts(value: Any) -> Iterator[str]:
    """All text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
