"""Somebody who searches while files change."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import DatabaseError, connections

from integrity.exceptions import IntegrityAppError
from integrity.pipeline import search
from integrity.pipeline.providers import Provider

_EVERY = 0.05  # seconds


@dataclass(kw_only=True)
class Searcher:
    """Asks again and again; ``answers`` counts ``answered``, ``empty``, ``mixed`` (of two versions) and ``failed``."""

    query: str
    provider: Provider
    using: str
    answers: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until it is over."""
        try:
            while not self.over.wait(_EVERY):
                self.answers[self._ask()] += 1
        finally:
            connections[self.using].close()

    def _ask(self) -> str:
        try:
            hits = search(query=self.query, k=5, provider=self.provider, using=self.using)
        except (IntegrityAppError, DatabaseError):
            return "failed"
        versions = {(hit.file, hit.version) for hit in hits}
        if len(versions) > len({file for file, _ in versions}):
            return "mixed"
        return "answered" if hits else "empty"


@contextmanager
def searching(query: str, *, provider: Provider, using: str) -> Iterator[Searcher]:
    """Let somebody search, on a thread and a connection of its own, until left."""
    searcher = Searcher(query=query, provider=provider, using=using)
    thread = threading.Thread(target=searcher.run)
    thread.start()
    try:
        yield searcher
    finally:
        searcher.over.set()
        thread.join()
