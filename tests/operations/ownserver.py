"""A PostgreSQL server of a test's own, which may crash while everybody else's tests go on undisturbed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import psycopg
from django.core.management import call_command

from project.embedded.account import server_account
from project.embedded.client import join, leave
from project.embedded.folders import Folders, server_folders
from project.embedded.processes import occupants
from project.embedded.server import Server
from tests import settings
from tests.databases import Database, as_default
from tests.waiting import eventually


@dataclass(frozen=True, kw_only=True)
class OwnServer:
    """A durable server: what was committed is there again when it has been started again."""

    server: Server

    @property
    def folders(self) -> Folders:
        """Where its files are."""
        return server_folders(name=self.server.name, account=server_account())

    def url(self, name: str) -> str:
        """The URL of one of its databases."""
        address = join(self.server)
        return f"postgresql://{address.user}@/{name}?host={quote(address.host)}&port={address.port}"

    def stop(self, how: signal.Signals) -> int:
        """Stop it as SIGQUIT (immediate shutdown) or SIGKILL do, without a checkpoint; return the pid that it had.

        Its sessions have ended then: those of a killed server go on until they look for it.
        """
        pid = join(self.server).pid
        os.kill(pid, how)
        eventually(lambda: not occupants(self.folders.data))
        return pid

    def start_again(self, stopped: int) -> None:
        """Start it, and return once it has recovered."""
        eventually(lambda: join(self.server).pid != stopped)

    def execute(self, statement: str) -> None:
        """Run one statement outside any transaction, on the database that is always there."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """Make a copy of the migrated template, and point Django at it."""
        self.execute("CREATE DATABASE crashing TEMPLATE migrated")
        try:
            with as_default(Database(vendor="postgresql", url=self.url("crashing"))) as database:
                yield database
        finally:
            self.execute("DROP DATABASE crashing WITH (FORCE)")


@contextlib.contextmanager
def own_server(name: str) -> Iterator[OwnServer]:
    """Start a server with a migrated template; stop it and remove its data at the end."""
    server = Server(name=f"tests-{name}-{os.getpid()}", binaries=settings.TEST_SERVER.binaries, linger=0.5)
    own = OwnServer(server=server)
    folders = own.folders
    try:
        own.execute("CREATE DATABASE migrated")
        with as_default(Database(vendor="postgresql", url=own.url("migrated"))):
            call_command("migrate", "integrity", "0001", verbosity=0, interactive=False)
        yield own
    finally:
        leave(server)
        eventually(lambda: not folders.keeper.exists() and not (folders.data / "postmaster.pid").exists())
        for folder in {folders.root, folders.sockets}:
            shutil.rmtree(folder)
