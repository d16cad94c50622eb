"""Another session that writes at a chosen moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from integrity.signals import batch_done, batch_step
from tests.databases import Database
from tests.waiting import PATIENCE, eventually

ISOLATIONS = [psycopg.IsolationLevel.READ_COMMITTED, psycopg.IsolationLevel.REPEATABLE_READ]


class Writer:
    """A session of PostgreSQL whose statement may have to wait for a lock, and is let wait."""

    def __init__(self, database: Database, isolation: psycopg.IsolationLevel) -> None:
        self._database = database
        self._connection = psycopg.connect(database.url)
        self._connection.isolation_level = isolation
        self._thread: threading.Thread | None = None
        self.changed: int | None = None
        """How many rows the statement changed; None while it has not ended, or if it failed."""
        self.error: psycopg.Error | None = None

    def look(self) -> None:
        """Open the transaction with a look at the data, which is all that REPEATABLE READ will see."""
        self._connection.execute("SELECT count(*) FROM ponies_pony")

    def write(self, statement: str) -> None:
        """Execute without committing."""
        self._connection.execute(statement)

    def commit(self) -> None:
        self._connection.commit()

    def start(self, statement: str) -> None:
        """Execute and commit on a thread; return when that is done or waits for a lock."""
        self._thread = threading.Thread(target=self._run, args=[statement])
        self._thread.start()
        eventually(lambda: not self._is_running() or self.waits())

    def waits(self) -> bool:
        """Whether the session waits for a lock of another one."""
        query = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
        return bool(self._database.execute(query, [self._connection.info.backend_pid])[0][0])

    def join(self) -> None:
        assert self._thread is not None, "nothing was started"
        self._thread.join(PATIENCE)
        assert not self._is_running(), "the writer never got its turn"

    def close(self) -> None:
        self._connection.close()

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self, statement: str) -> None:
        try:
            changed = self._connection.execute(statement).rowcount
            self._connection.commit()
        except psycopg.Error as error:
            self._connection.rollback()
            self.error = error
        else:
            self.changed = changed


@contextmanager
def at_step(step: str, act: Callable[[], object], *, nth: int = 1) -> Iterator[None]:
    """Call ``act`` when a batch passes a step (``done``: is committed) for the ``nth`` time, once."""
    signal = batch_done if step == "done" else batch_step
    seen = 0

    def receive(**arguments: Any) -> None:
        nonlocal seen
        seen += arguments.get("step", "done") == step
        if seen == nth and arguments.get("step", "done") == step:
            act()

    signal.connect(receive)
    try:
        yield
    finally:
        signal.disconnect(receive)
    assert seen >= nth, f"there was no step {step!r}"
