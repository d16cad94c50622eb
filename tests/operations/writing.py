"""Writers that never stop: they insert, upsert, update and delete, duplicates among it, and time each statement."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import psycopg
from psycopg import IsolationLevel

KINDS = ("insert", "duplicate", "upsert", "update", "delete")


@dataclass
class Writers:
    """Threads on the table ``book``; each has keys of its own, and all fight over the shared ones."""

    url: str
    level: IsolationLevel
    count: int = 8
    pause: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    waits: list[float] = field(default_factory=list)
    """Seconds that each statement took."""
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[BaseException] = field(default_factory=list)
    committed: set[int] = field(default_factory=set)
    """The rows that a writer put there and nobody took away again."""

    def __enter__(self) -> Writers:
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        dice = random.Random(writer)
        with psycopg.connect(self.url) as own:
            own.isolation_level = self.level
            numbers = iter(range(1_000_000_000 + writer * 10_000_000, 2_000_000_000))
            mine: list[int] = []
            while not self.stop.wait(self.pause):
                try:
                    self._one(own, dice, numbers, mine)
                except BaseException as error:
                    self.wrong.append(error)
                    raise
            self.committed.update(mine)

    def _one(self, own: psycopg.Connection, dice: random.Random, numbers: object, mine: list[int]) -> None:
        kind = dice.choice(KINDS)
        number = next(numbers)  # type: ignore[call-overload]
        began = time.monotonic()
        try:
            if kind == "insert":
                own.execute(
                    "INSERT INTO book (id, isbn, shelf, pages) VALUES (%s, %s, 0, 1)", (number, f"own {number}")
                )
            elif kind == "duplicate":
                isbn = f"isbn {dice.randrange(1000)}"
                own.execute("INSERT INTO book (id, isbn, shelf, pages) VALUES (%s, %s, 0, 99)", (number, isbn))
            elif kind == "upsert":
                isbn = f"shared {dice.randrange(5000)}"
                own.execute(
                    "INSERT INTO book (id, isbn, shelf, pages) VALUES (%s, %s, 1, 1) ON CONFLICT DO NOTHING",
                    (number, isbn),
                )
            elif mine and kind == "update":
                own.execute("UPDATE book SET title = 'changed' WHERE id = %s", (dice.choice(mine),))
            elif mine:
                gone = mine.pop(dice.randrange(len(mine)))
                own.execute("DELETE FROM book WHERE id = %s", (gone,))
            own.commit()
        except (psycopg.errors.UniqueViolation, psycopg.errors.SerializationFailure) as error:
            own.rollback()
            if isinstance(error, psycopg.errors.UniqueViolation) and error.diag.constraint_name != "one_per_shelf":
                raise
            self.outcomes[type(error).__name__] += 1
        else:
            self.outcomes[kind] += 1
            if kind == "insert":
                mine.append(number)
        finally:
            self.waits.append(time.monotonic() - began)
