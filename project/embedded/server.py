"""Which embedded server is meant, and where a running one is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DATABASE_USER = "integrity"


@dataclass(frozen=True, kw_only=True)
class Server:
    """Which embedded server is meant: each name has its own data.

    Args:
        name: names the data folder.
        durable: whether the data outlives the server. Without, nothing is synced to disk (for tests).
        binaries: the folder of ``initdb`` and ``postgres``; None finds them.
        linger: seconds for which the server outlives its last client.
        memory: bytes to be free in the machine's shared memory for the data to be there, not on a disk; 0 for never.
            Only for data that does not outlive the server.
    """

    name: str = "main"
    durable: bool = True
    binaries: Path | None = None
    linger: float = 2.0
    memory: int = 0


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a running server is, in libpq's words: ``host`` is the folder of its socket."""

    host: str
    port: int = 5432
    user: str = DATABASE_USER
    pid: int = 0
