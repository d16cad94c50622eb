"""SIGINT and SIGTERM: the first one asks the work to stop where it is safe, the second one ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


@dataclass
class Stop:
    """Whether to stop, and why."""

    wanted: threading.Event = field(default_factory=threading.Event)
    received: int = 0
    """The signal's number."""

    @property
    def exit_code(self) -> int:
        """As a shell reports a program that the signal ended: 130 or 143."""
        return 128 + self.received


@contextmanager
def stopping() -> Iterator[Stop]:
    """Let signals ask for a stop while the block runs; outside the main thread, where none arrive, do nothing.

    Raises:
        KeyboardInterrupt: a second SIGINT.
        SystemExit: a second SIGTERM.
    """
    stop = Stop()

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.received:  # not the event: a signal that interrupts its set() could not set it either
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        stop.received = number
        stop.wanted.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
