"""How far a long step has come; whoever wants to show it passes a function in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """``done`` of ``total`` groups; ``total`` is 0 while it is not known. ``step`` says what is being done."""

    step: str
    done: int = 0
    total: int = 0


class Report(Protocol):
    """Takes notice of progress; called between transactions, never inside one."""

    def __call__(self, progress: Progress, /) -> None: ...


def silent(progress: Progress, /) -> None:
    """Show nothing."""
