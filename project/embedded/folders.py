"""Where a server's files are: the same answer for every process of one account and checkout."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from project.embedded.account import Account
from project.embedded.errors import ServerUnavailable
from project.local import NoPrivateFolder, OpenToOthers, account_folders, make_private

# A socket's path has 108 bytes on Linux and 104 on macOS, the closing zero included.
LONGEST_SOCKET_PATH = 100
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - owner and mode are verified


@dataclass(frozen=True, kw_only=True)
class Folders:
    """The files of one server. ``data`` and ``host`` are the server's account's, the others ours."""

    root: Path
    sockets: Path
    store: Path
    """Where the data folder is: ``root``, or a folder in memory."""

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def data(self) -> Path:
        return self.store / "data"

    @property
    def keeper(self) -> Path:
        """The keeper's socket."""
        return self.sockets / "keeper"

    @property
    def host(self) -> Path:
        """The folder of the server's own socket, which is what clients call the host."""
        return self.sockets / "host"


def server_folders(*, name: str, account: Account, memory: int = 0) -> Folders:
    """Return the folders of the server ``name``, made where they were missing.

    With ``memory``, the data is in the machine's shared memory where that many bytes are free there (Linux).

    Raises:
        ServerUnavailable: there is no place for them that is ours and that ``account`` can reach, or there is data
            in a place that will no longer do: starting afresh elsewhere would hide it.
    """
    reasons = []
    for folder in account_folders(inside=".postgres"):
        try:
            return _folders_in(folder, name=name, account=account, memory=memory)
        except OpenToOthers as error:
            raise ServerUnavailable(str(error)) from error
        except NoPrivateFolder as error:
            data = folder / name / "data"
            if os.path.exists(data):  # noqa: PTH110 - Path.exists raises where we may not look
                raise ServerUnavailable(f"{error}, but there is data in {data}. Open the way, or move it.") from error
            reasons.append(str(error))
    raise ServerUnavailable(
        f"There is no place for the embedded server's data; set DATABASE_URL. {'; '.join(reasons)}."
    )


def _folders_in(folder: Path, *, name: str, account: Account, memory: int) -> Folders:
    if not account.can_reach(folder / name / "data"):
        raise NoPrivateFolder(f"{folder} is out of reach for the account {account.name}")
    # The server's account must pass through, and others learn nothing from that: what is inside is 0600 and 0700.
    mode = 0o711 if account.other else 0o700
    make_private(folder, mode=mode)
    root = make_private(folder / name, mode=mode)
    store = _folder_in_memory(root, mode=mode, memory=memory) if memory else root
    return Folders(root=root, sockets=_socket_folder(root, mode=mode), store=store)


def _folder_in_memory(root: Path, *, mode: int, memory: int) -> Path:
    """Return a folder in memory that belongs to ``root``, or ``root`` itself where there is not so much room."""
    folder = SHARED_MEMORY / _short_name(root)
    is_in_use = os.path.exists(folder / "data")  # noqa: PTH110 - Path.exists raises where we may not look
    if not is_in_use and not (SHARED_MEMORY.is_mount() and shutil.disk_usage(SHARED_MEMORY).free >= memory):
        return root
    return make_private(folder, mode=mode)


def _socket_folder(root: Path, *, mode: int) -> Path:
    """Return ``root``, or a folder with a short plain path where that of ``root`` would not do for a socket.

    A comma separates hosts for every PostgreSQL client, and a quote ends a folder's name in the server's settings.
    """
    longest = root / "host" / ".s.PGSQL.5432"
    if len(os.fsencode(longest)) <= LONGEST_SOCKET_PATH and not set(str(root)) & set(',"\n'):
        return root
    # Not TMPDIR: two commands with different environments must meet at the same socket.
    return make_private(Path("/tmp") / _short_name(root), mode=mode)  # noqa: S108 - verified


def _short_name(root: Path) -> str:
    """A name outside of the checkout that no other server's folder has."""
    return f"integrity-{os.geteuid()}-{sha256(os.fsencode(root)).hexdigest()[:12]}"
