"""Types of command-line values; argparse turns a ValueError into one line that names the type."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import TIMEOUT_MAX

_AGE = re.compile(r"(\d+)([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_LARGEST = 2**63 - 1
"""The largest number that both databases take."""


def positive(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if not 1 <= number <= _LARGEST:
        raise ValueError(text)
    return number


def milliseconds(text: str) -> timedelta:
    """A whole number of milliseconds, from 0 to as many as can be waited for."""
    number = int(text)
    if not 0 <= number <= TIMEOUT_MAX * 1000:
        raise ValueError(text)
    return timedelta(milliseconds=number)


def seconds(text: str) -> timedelta:
    """A number of seconds, from 0 to as many as can be waited for."""
    number = float(text)
    if not 0 <= number <= TIMEOUT_MAX:
        raise ValueError(text)
    return timedelta(seconds=number)


def age(text: str) -> timedelta:
    """``30d``, ``12h`` or ``90m``, within the calendar."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    try:
        found = timedelta(**{_UNITS[match[2]]: int(match[1])})
        _ = datetime.now(UTC) - found
    except OverflowError:
        raise ValueError(text) from None
    return found


def names(text: str) -> tuple[str, ...]:
    """``a,b,c``."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise ValueError(text)
    return found


def pair(text: str) -> tuple[str, str]:
    """``name=value``."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ValueError(text)
    return name, value


def numbered(text: str) -> tuple[int, str]:
    """``number=value``."""
    number, value = pair(text)
    return positive(number), value


def up_to(most: int) -> Callable[[str], int]:
    """Return the type of a whole number from 1 to ``most``."""

    def parse(text: str) -> int:
        number = positive(text)
        if number > most:
            raise ValueError(text)
        return number

    parse.__name__ = f"whole number from 1 to {most}"
    return parse


_SHOWN: dict[Callable[[str], object], str] = {
    positive: "positive whole number",
    milliseconds: "number of milliseconds",
    seconds: "number of seconds",
    age: "age such as 30d, 12h or 90m",
    names: "list of names with commas between",
    pair: "name=value",
    numbered: "number=value",
}
for _type, _name in _SHOWN.items():
    _type.__name__ = _name
