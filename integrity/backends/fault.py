"""A foreseeable fault of a database, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """``interrupted`` tells that the work had begun, or could begin, and would go on with the database back."""

    message: str
    interrupted: bool = False


def words(error: Exception) -> str:
    """Return the driver's message on one line, with a full stop: drivers spread theirs over several."""
    return (" ".join(str(error).split()) or type(error).__name__).rstrip(".") + "."
