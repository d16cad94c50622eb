"""Which account of the machine runs the server: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from project.embedded.errors import ServerUnavailable

UNPRIVILEGED = ("postgres", "nobody", "daemon")


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account of the machine, and whether a process must change to it."""

    name: str
    uid: int
    gid: int
    other: bool

    def popen_arguments(self) -> dict[str, Any]:
        """Return what ``subprocess`` needs to run a program as this account, without our groups."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.other else {}

    def can_reach(self, path: Path) -> bool:
        """Say whether this account may enter every folder on the way to ``path``, by their permission bits."""
        if not self.other:
            return True
        return all(self._may(folder, stat.S_IXOTH) for folder in path.resolve().parents)

    def can_run(self, program: Path) -> bool:
        """Say whether this account may execute ``program``, by the permission bits."""
        return self.can_reach(program) and (not self.other or self._may(program, stat.S_IXOTH | stat.S_IROTH))

    def _may(self, path: Path, others: int) -> bool:
        try:
            found = path.stat()
        except FileNotFoundError:
            return True  # it will be ours to make
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        return found.st_mode & (others << shift) == others << shift


def server_account() -> Account:
    """Return the account that runs the server: our own, or an unprivileged one that exists when we are root.

    Raises:
        ServerUnavailable: we are root and none of the usual accounts exists.
    """
    uid = os.geteuid()
    if uid != 0:
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            raise ServerUnavailable(
                f"User {uid} has no name on this machine, and PostgreSQL needs one. Set DATABASE_URL."
            ) from None
        return Account(name=name, uid=uid, gid=os.getegid(), other=False)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, other=True)
    raise ServerUnavailable(
        f"PostgreSQL does not run as root, and none of the accounts {', '.join(UNPRIVILEGED)} exists. "
        "Run as an ordinary user, or set DATABASE_URL."
    )
