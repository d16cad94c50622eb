"""A server with a streaming replica of its own, thrown away with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from project.embedded.account import server_account
from project.embedded.binaries import find_binaries
from project.embedded.processes import die_with_parent, stop_child
from tests.databases import Database
from tests.waiting import eventually

PRIMARY, REPLICA = 1, 2  # ports: the names of their sockets in one folder


@dataclass(frozen=True, kw_only=True)
class Replicated:
    """The primary's database, and a connection to its replica."""

    primary: Database
    replica: psycopg.Connection[Any]

    def stop_replaying(self) -> None:
        self.replica.execute("SELECT pg_wal_replay_pause()")

    def go_on_replaying(self) -> None:
        self.replica.execute("SELECT pg_wal_replay_resume()")


@contextmanager
def replicated() -> Iterator[Replicated]:
    """Start both, on sockets in a folder of their own; stop them at the end."""
    account, binaries = server_account(), find_binaries()
    if not account.can_run(binaries / "pg_basebackup"):
        pytest.skip(f"the account {account.name} cannot run the programs in {binaries}")
    folder = Path(tempfile.mkdtemp(prefix="integrity-"))
    os.chown(folder, account.uid, account.gid)
    options: dict[str, Any] = {"cwd": "/", "preexec_fn": die_with_parent(), **account.popen_arguments()}

    def run(program: str, *arguments: str) -> None:
        subprocess.run([binaries / program, *arguments], check=True, capture_output=True, **options)

    def start(name: str, port: int) -> subprocess.Popen[bytes]:
        settings = ("listen_addresses=", f"unix_socket_directories={folder}", f"port={port}", "fsync=off")
        words = [word for setting in (*settings, "wal_receiver_status_interval=1") for word in ("-c", setting)]
        return subprocess.Popen(
            [binaries / "postgres", "-D", folder / name, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **options,
        )

    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        run("initdb", "-D", f"{folder}/primary", "-U", "integrity", "--auth=trust", "--no-sync", "--no-locale")
        stack.callback(stop_child, start("primary", PRIMARY))
        database = Database(vendor="postgresql", url=f"postgresql://integrity@/postgres?host={folder}&port={PRIMARY}")
        eventually(lambda: _answers(database.url))
        run(
            "pg_basebackup", "-h", str(folder), "-p", str(PRIMARY), "-U", "integrity", "-D", f"{folder}/replica",
            "-R", "-c", "fast", "--no-sync",
        )  # fmt: skip
        stack.callback(stop_child, start("replica", REPLICA))
        url = f"postgresql://integrity@/postgres?host={folder}&port={REPLICA}"
        eventually(lambda: _answers(url))
        eventually(lambda: database.execute("SELECT 1 FROM pg_stat_replication WHERE replay_lsn IS NOT NULL"))
        yield Replicated(primary=database, replica=stack.enter_context(closing(psycopg.connect(url, autocommit=True))))


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
