"""The keeper: a detached process that runs the server for as long as it has clients.

Started as ``python -m project.embedded.keeper ORDER``; it imports no Django, so that it starts fast.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from project.embedded.account import server_account
from project.embedded.cluster import LOG_LINES, open_log, start_server
from project.embedded.errors import ServerUnavailable
from project.embedded.order import Order, greeting, refusal
from project.embedded.processes import postmaster_pid, stop_child
from project.embedded.server import Address

PULSE = 0.5  # seconds between two looks at the server
HEARING = 0.5  # seconds for whoever started us to come and ask; it looks a hundred times in one
BACKLOG = 128


def main(argument: str) -> None:
    """Leave the process that started us, then keep the server."""
    order = Order.from_json(argument)
    detach(order.folders.log)
    signal.signal(signal.SIGTERM, _leave)
    keep(order)


def keep(order: Order) -> None:
    """Run the server until nobody needs it; end at once when another keeper serves already."""
    with contextlib.ExitStack() as stack:
        if not stack.enter_context(_lock(order)):
            return
        # Left after the listener: who comes while the server stops must not wait for an answer that never comes.
        running = stack.enter_context(contextlib.ExitStack())
        if not order.durable:
            running.callback(shutil.rmtree, order.folders.data, ignore_errors=True)
        listener = stack.enter_context(_listening(order.folders.keeper))
        try:
            logged = order.folders.log.stat().st_size
            server = start_server(order=order, account=server_account())
            running.callback(_stop, server)
            wait_until_ready(server, order=order, logged=logged)
        except (ServerUnavailable, OSError) as error:
            refuse(listener, reason=str(error), path=order.folders.keeper)
            return
        address = Address(host=str(order.folders.host), pid=server.pid)
        serve(listener, server=server, address=address, linger=order.linger)


def detach(log: Path) -> None:
    """Become a process of its own: the one that was started ends here, its terminal and its pipes stay behind."""
    if os.fork() != 0:
        os._exit(0)
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    with open_log(log) as file, Path(os.devnull).open("rb") as nothing:
        for target, source in ((0, nothing.fileno()), (1, file.fileno()), (2, file.fileno())):
            os.dup2(source, target)


def wait_until_ready(server: subprocess.Popen[bytes], *, order: Order, logged: int) -> None:
    """Wait for the server to accept connections, however long a recovery takes.

    Raises:
        ServerUnavailable: it ended instead; what it said is in the log after its first ``logged`` bytes.
    """
    while server.poll() is None:
        if postmaster_pid(order.folders.data) == server.pid and _says_ready(order.folders.data):
            return
        time.sleep(0.01)  # a process tells nobody that it is ready
    said = order.folders.log.read_bytes()[logged:].decode(errors="replace").splitlines()
    raise ServerUnavailable(
        "\n".join([f"The embedded server did not start. Its log, {order.folders.log}, ends with:", *said[-LOG_LINES:]])
    )


def serve(listener: socket.socket, *, server: subprocess.Popen[bytes], address: Address, linger: float) -> None:
    """Greet every client and count the open connections, until none was there for ``linger`` seconds."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ, listener)
        clients = 0
        needed = time.monotonic()
        while True:
            for key, _ in selector.select(PULSE if clients else min(PULSE, linger)):
                connection = key.data
                if connection is listener:
                    connection, _ = listener.accept()
                    with contextlib.suppress(OSError):
                        connection.sendall(greeting(address))
                    selector.register(connection, selectors.EVENT_READ, connection)
                    clients += 1
                elif not _still_there(connection):
                    selector.unregister(connection)
                    connection.close()
                    clients -= 1
                needed = time.monotonic()
            if server.poll() is not None or (not clients and time.monotonic() >= needed + linger):
                return


def refuse(listener: socket.socket, *, reason: str, path: Path) -> None:
    """Tell everybody who waits at ``path`` why there is no server; the first may come a moment after we know."""
    listener.settimeout(HEARING)
    with contextlib.suppress(BlockingIOError, TimeoutError):
        while True:
            connection, _ = listener.accept()
            path.unlink(missing_ok=True)  # whoever comes from now on gets a new keeper, and a new attempt
            listener.setblocking(False)
            with connection, contextlib.suppress(OSError):
                connection.sendall(refusal(reason))


@contextlib.contextmanager
def _lock(order: Order) -> Iterator[bool]:
    """Hold the lock file; give up (False) once another keeper answers."""
    descriptor = os.open(order.folders.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if _answers(order.folders.keeper):
                    yield False
                    return
                time.sleep(0.05)  # another keeper starts or ends; waiting inside flock could not be given up
            else:
                yield True
                return
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    path.unlink(missing_ok=True)  # a killed keeper's; ours is the lock
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _says_ready(data: Path) -> bool:
    lines = (data / "postmaster.pid").read_text().splitlines()
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _still_there(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(64))
    except OSError:
        return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop_child(server)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the shape of a signal handler
    raise SystemExit(0)


if __name__ == "__main__":
    main(sys.argv[1])
