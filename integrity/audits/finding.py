"""What an audit reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from django.core import checks


class Level(IntEnum):
    """The levels of Django's check framework, by the same names and numbers."""

    INFO = checks.INFO
    WARNING = checks.WARNING
    ERROR = checks.ERROR
    CRITICAL = checks.CRITICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact that somebody should know of; ``hint`` begins with a verb and says what to do about it."""

    id: str
    """Stable: ``integrity.A001``."""
    level: Level
    message: str
    object: str
    """What it is about: a table, or ``table.column``."""
    hint: str = ""
    details: Mapping[str, int | str] = field(default_factory=dict)
    """The figures of the message, by word, for programs."""
    tag: str = ""
    """The audit that found it; the runner fills it in."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON knows it, the level by name."""
        return {
            "id": self.id,
            "level": self.level.name,
            "tag": self.tag,
            "object": self.object,
            "message": self.message,
            "hint": self.hint,
            "details": dict(self.details),
        }
