"""One deadline for a whole exchange over HTTP: from connecting to the last byte, whatever trickles in between.

The HTTP client's own timeout begins anew with every byte, of the headers as of the body. So a timer shuts down the
connections that an exchange has made; whoever waits for one of them is woken at once, by its end. That needs a new
connection for each exchange, which is little beside the making of vectors.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

_exchange: Final = threading.local()

CONNECTED: Final = ".connect_tcp.complete"  # of the client's `trace` extension
NO_REUSE: Final = {"Connection": "close"}
"""Headers that keep a connection from being used for a second exchange."""


class Deadline:
    """Shuts down the connections of one exchange when its time is over, and says so in ``is_over``."""

    def __init__(self) -> None:
        self.is_over = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    def notice(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of a connection that was made."""
        if event.endswith(CONNECTED):
            # A handle of our own: TLS takes the client's over, and closing that must not let us hit another's.
            handle = info["return_value"].get_extra_info("socket").dup()
            with self._lock:
                self._sockets.append(handle)
                if self.is_over:
                    _shut_down(handle)

    def expire(self) -> None:
        """End the exchange."""
        with self._lock:
            self.is_over = True
            for handle in self._sockets:
                _shut_down(handle)

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            for handle in self._sockets:
                handle.close()
            self._sockets.clear()


@contextmanager
def deadline(*, within: float) -> Iterator[Deadline]:
    """Give what this thread asks meanwhile ``within`` seconds in all; the client's requests need ``watch_request``."""
    made = Deadline()
    timer = threading.Timer(within, made.expire)
    timer.daemon = True
    with ExitStack() as stack:
        stack.callback(made.close)
        stack.callback(timer.cancel)
        _exchange.deadline = made
        stack.callback(delattr, _exchange, "deadline")
        timer.start()
        yield made


def watch_request(request: Any) -> None:
    """Let a request's connections be noticed: an event hook of the HTTP client, called on the thread that asks."""
    request.extensions = {**request.extensions, "trace": _exchange.deadline.notice}


def _shut_down(handle: socket.socket) -> None:
    with suppress(OSError):  # it has ended already
        handle.shutdown(socket.SHUT_RDWR)
