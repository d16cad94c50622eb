"""PgBouncer in front of a test's database, as a process of its own on a socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

from project.embedded.account import server_account
from project.embedded.processes import die_with_parent, stop_child
from tests.databases import Database
from tests.waiting import eventually

PROGRAM = os.environ.get("TEST_PGBOUNCER") or shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
SESSIONS = 2
"""How many sessions of the server its clients share."""

_OF_THE_CLIENT = ["TimeZone", "client_encoding", "DateStyle", "standard_conforming_strings"]
"""Settings that PgBouncer gives each client's transactions as the client has set them."""

_SETTINGS = """\
[databases]
* = {server}
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
listen_port = 1
auth_type = any
pool_mode = {mode}
default_pool_size = {sessions}
logfile = {folder}/log
"""


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """A database behind the pooler, and in front of it."""

    database: Database
    direct: Database

    def sessions(self) -> list[tuple[str, ...]]:
        """Of each session that clients share, the settings that were changed and the channels that it listens on."""
        query = """
            SELECT COALESCE((SELECT string_agg(name, ', ' ORDER BY name) FROM pg_settings
                             WHERE source = 'session' AND name <> ALL(%s) AND name NOT LIKE 'transaction%%'), ''),
                   COALESCE((SELECT string_agg(c, ', ') FROM pg_listening_channels() AS c), ''), pg_backend_pid()::text
        """
        with ExitStack() as stack:  # all at once: each has a session to itself
            clients = [stack.enter_context(closing(_connect(self.database.url))) for _ in range(SESSIONS)]
            rows = [client.execute(query, [_OF_THE_CLIENT]).fetchall()[0] for client in clients]
            for client in clients:
                client.rollback()  # else the pooler would end the session
        assert len({pid for *_, pid in rows}) == SESSIONS
        return [(settings, channels) for settings, channels, _ in rows]


@contextmanager
def pooled(direct: Database, *, mode: str = "transaction") -> Iterator[Pooled]:
    """Start PgBouncer in front of a database; stop it at the end."""
    assert PROGRAM is not None
    account = server_account()
    folder = Path(tempfile.mkdtemp(prefix="integrity-"))
    os.chown(folder, account.uid, account.gid)
    url = urlsplit(direct.url)
    host, port = (parse_qs(url.query).get(name, [""])[0] for name in ("host", "port"))
    server = {
        "host": host or url.hostname or "",
        "port": port or str(url.port or 5432),
        "user": url.username or "",
        "password": url.password or "",
    }
    said = " ".join(f"{name}='{value}'" for name, value in server.items() if value)
    (folder / "ini").write_text(_SETTINGS.format(server=said, folder=folder, mode=mode, sessions=SESSIONS))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        child = subprocess.Popen(
            [PROGRAM, "-q", folder / "ini"],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(),
            **account.popen_arguments(),
        )
        stack.callback(stop_child, child)
        behind = f"postgresql://{server['user']}@/{url.path.removeprefix('/')}?host={folder}&port=1"
        eventually(lambda: _answers(behind))
        yield Pooled(database=Database(vendor="postgresql", url=behind), direct=direct)


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url, prepare_threshold=None)


def _answers(url: str) -> bool:
    try:
        _connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
