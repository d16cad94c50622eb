"""Stage two things at once: stop one exactly between two steps, let the other run or wait for its lock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from django.db import connections

from integrity.signals import pipeline_step
from tests.pipeline.library import fetch
from tests.waiting import PATIENCE, eventually


class Actor:
    """Does something on a thread and a connection of its own; stops at a step until it is let go.

    An error on the thread is raised when the ``with`` block ends.
    """

    def __init__(self, action: Callable[[], Any], *, at: str | None = None) -> None:
        self._action = action
        self._at = at
        self._arrived = threading.Event()
        self._go_on = threading.Event()
        self._faults: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._pid = 0
        self.result: Any = None

    def __enter__(self) -> Self:
        pipeline_step.connect(self._hold, weak=False)
        self._thread.start()
        if self._at is not None:
            eventually(lambda: self._arrived.is_set() or self._faults or not self._thread.is_alive())
            self._raise()
            assert self._arrived.is_set(), f"it ended without passing the step {self._at!r}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._go_on.set()
        self._thread.join(PATIENCE)
        pipeline_step.disconnect(self._hold)
        if error is None:
            self._raise()
            assert not self._thread.is_alive(), "it did not end"

    def go_on(self) -> None:
        """Let it go on, into whatever it must wait for next."""
        self._go_on.set()

    def let_go(self) -> None:
        """Let it go on, and wait for its end."""
        self._go_on.set()
        self._thread.join(PATIENCE)

    def loses_its_connection(self) -> None:
        """End its connection, and with it its transaction: all that the database sees of a process that was killed."""
        fetch("SELECT pg_terminate_backend(%s)", self._pid)

    def is_blocked(self) -> None:
        """Return once it waits for a lock.

        Raises:
            AssertionError: it never does.
        """
        eventually(
            lambda: fetch("SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'", self._pid)
        )

    def _run(self) -> None:
        try:
            with connections["default"].cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self._pid = cursor.fetchone()[0]
            self.result = self._action()
        except BaseException as error:
            self._faults.append(error)
        finally:
            connections.close_all()

    def _hold(self, *, step: str, **_: Any) -> None:
        if step == self._at and threading.current_thread() is self._thread and not self._arrived.is_set():
            self._arrived.set()
            assert self._go_on.wait(PATIENCE), "nobody let it go"

    def _raise(self) -> None:
        if self._faults:
            raise self._faults[0]
