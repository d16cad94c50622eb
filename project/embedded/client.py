"""A command's side: find or start the keeper, and stay connected to it for life."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from project.embedded.errors import ServerUnavailable
from project.embedded.server import Address, Server
from project.local import CHECKOUT

PATIENCE = 120.0  # seconds for a first start or a recovery after a crash
RELAUNCH = 2.0  # seconds before a keeper that does not answer is given up for lost


@dataclass(frozen=True, kw_only=True)
class Membership:
    """One open connection to a keeper: while it is open, the server runs."""

    connection: socket.socket
    address: Address

    def is_alive(self) -> bool:
        """Say whether the keeper is still there: its end is the end of the connection."""
        try:
            return bool(self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False


_memberships: dict[Server, Membership] = {}
_guard = threading.Lock()


def join(server: Server) -> Address:
    """Return where ``server`` is, started if need be. It then runs at least as long as this process.

    Raises:
        ServerUnavailable: there is none; the message says why and what to do instead.
    """
    with _guard:
        membership = _memberships.get(server)
        if membership is not None and membership.is_alive():
            return membership.address
        if membership is not None:
            membership.connection.close()
        _memberships[server] = membership = _become_member(server)
        return membership.address


def leave(server: Server) -> None:
    """Give up this process's part in ``server``, as its end would do."""
    with _guard:
        if membership := _memberships.pop(server, None):
            membership.connection.close()


def _become_member(server: Server) -> Membership:
    if os.name != "posix":
        raise ServerUnavailable("The embedded server needs Linux or macOS. Set DATABASE_URL.")
    from project.embedded.account import server_account
    from project.embedded.binaries import find_binaries
    from project.embedded.folders import server_folders
    from project.embedded.order import Order

    binaries = server.binaries or find_binaries()
    folders = server_folders(name=server.name, account=server_account(), memory=server.memory)
    order = Order(folders=folders, binaries=binaries, durable=server.durable, linger=server.linger)
    deadline = time.monotonic() + PATIENCE
    launched = float("-inf")
    while time.monotonic() < deadline:
        if membership := _ask(folders.keeper, deadline=deadline):
            return membership
        if time.monotonic() > launched + RELAUNCH:
            _launch(order.to_json())
            launched = time.monotonic()
        time.sleep(0.01)  # another process is starting it
    raise ServerUnavailable(f"The embedded server is not ready after {PATIENCE:.0f} s; see {folders.log}.")


def _ask(path: Path, *, deadline: float) -> Membership | None:
    """Connect to the keeper and read its line; None when it is not there, or was just leaving."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
        connection.settimeout(max(deadline - time.monotonic(), 0.1))
        answer = _read_line(connection)
        connection.settimeout(None)
    except OSError:
        connection.close()
        return None
    if not answer:
        connection.close()
        return None
    said = json.loads(answer)
    if "error" in said:
        connection.close()
        raise ServerUnavailable(said["error"])
    return Membership(connection=connection, address=Address(**said))


def _read_line(connection: socket.socket) -> bytes:
    """Return one whole line, or nothing when the connection ended before its end."""
    received = b""
    while not received.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            return b""
        received += part
    return received


def _launch(order: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "project.embedded.keeper", order],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode > 0:  # less than zero: it was killed, and the next try may have more luck
        raise ServerUnavailable(f"The embedded server's keeper did not start:\n{answer.stderr.strip()}")
