"""What runs on a data folder, by the process table; and how it is ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROCESS_TABLE = Path("/proc")
PR_SET_PDEATHSIG = 1


def postmaster_pid(data: Path) -> int | None:
    """Return the pid that the data folder's ``postmaster.pid`` claims, which may be anybody's by now."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if pid > 1 else None


def is_alive(pid: int) -> bool:
    """Say whether any process has this pid."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def occupants(data: Path) -> frozenset[int]:
    """Return the pids of the server processes that run on ``data``: postmaster, backends and orphans.

    A server's processes are programs named ``postgres`` whose working directory is the data folder. Where there
    is no ``/proc``, only the postmaster is known, by its command line.
    """
    if not PROCESS_TABLE.joinpath("self").exists():
        pid = postmaster_pid(data)
        return frozenset({pid} if pid is not None and _command_line_names(pid, data) else ())
    place = str(data.resolve())
    pids = (int(entry.name) for entry in PROCESS_TABLE.iterdir() if entry.name.isdigit())
    return frozenset(pid for pid in pids if _works_in(pid, place))


def _works_in(pid: int, place: str) -> bool:
    try:
        if Path(f"/proc/{pid}/cwd").readlink() != Path(place):
            return False
        return Path(f"/proc/{pid}/exe").readlink().name.startswith("postgres")
    except OSError:
        return False  # it ended, or it is somebody else's and therefore not ours


def _command_line_names(pid: int, data: Path) -> bool:
    answer = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "postgres" in answer.stdout and f"-D {data}" in answer.stdout


def stop_occupants(data: Path) -> None:
    """End every server process on ``data``: politely first, and never a process that is not one of them."""
    for number, patience in ((signal.SIGINT, 60), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        found = occupants(data)
        if number == signal.SIGINT:
            # To a backend SIGINT only means "cancel": a fast shutdown is asked of the postmaster.
            claimed = postmaster_pid(data)
            found = frozenset({claimed} & found) if claimed else frozenset()
        if not found:
            continue
        for pid in found:
            _signal(pid, number)
        if wait_until(lambda: not occupants(data), patience=patience):
            return


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def stop_child(child: subprocess.Popen[bytes]) -> None:
    """End our own server: fast shutdown, then immediate shutdown, then by force."""
    for number, patience in ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        if child.poll() is None:
            child.send_signal(number)
        try:
            child.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue
        return


def die_with_parent() -> Callable[[], None] | None:
    """Return what a child runs before its program so that it gets SIGINT when its parent ends, if the system can."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent ended before we asked

    return prepare


def wait_until(condition: Callable[[], bool], *, patience: float, step: float = 0.02) -> bool:
    """Return whether ``condition`` became true within ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
    return True
