"""Providers that fail as they are told, and vectors that can be told apart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from integrity.pipeline.providers import InputRejected, Vectors
from integrity.pipeline.providers.offline import OfflineProvider
from tests.pipeline.library import DIMENSIONS


@dataclass(kw_only=True)
class Scripted:
    """Makes vectors, except where ``answers`` has something else for a call: an error to raise, or a function."""

    answers: list[Exception | Callable[[Sequence[str]], object] | None] = field(default_factory=list)
    poison: str = ""
    """Texts that hold this are rejected, and with them their batch."""
    calls: list[int] = field(default_factory=list)
    """How many texts each call had."""
    dimensions: int = DIMENSIONS

    def __post_init__(self) -> None:
        self._offline = OfflineProvider(dimensions=self.dimensions)

    @property
    def model(self) -> str:
        return self._offline.model

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(len(texts))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer(texts)  # type: ignore[return-value]
        if self.poison and any(self.poison in text for text in texts):
            raise InputRejected("one of these texts is not welcome")
        return self._offline.embed(texts)


@dataclass(kw_only=True)
class Held(Scripted):
    """Waits in the middle of a call until it is let go; ``unheld`` calls pass before that."""

    unheld: int = 0
    arrived: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def embed(self, texts: Sequence[str]) -> Vectors:
        if len(self.calls) >= self.unheld:
            self.arrived.set()
            assert self.go_on.wait(60)
        return super().embed(texts)
