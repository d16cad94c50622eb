"""Signals that ask a command to stop."""

from __future__ import annotations

import signal
import threading

import pytest

from integrity.management.stopping import stopping


class Interrupted(threading.Event):
    """A signal comes in the middle of its being set."""

    def set(self) -> None:
        with self._cond:  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGTERM)


def test_the_first_signal_asks_and_the_second_ends() -> None:
    with stopping() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert (stop.wanted.is_set(), stop.exit_code) == (True, 143)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.timeout(30)
def test_a_second_signal_that_comes_while_the_first_is_handled_ends_too() -> None:
    with stopping() as stop:
        stop.wanted = Interrupted()
        with pytest.raises(SystemExit, match="143"):
            signal.raise_signal(signal.SIGINT)
