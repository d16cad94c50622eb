"""A server and a database of the chaos's own: everybody else's tests go on undisturbed while it crashes."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from django.core.management import call_command

from integrity.pipeline import job_queue
from integrity.queue import install
from project.embedded.account import server_account
from project.embedded.client import join, leave
from project.embedded.folders import server_folders
from project.embedded.server import Server
from tests.databases import Database, as_default
from tests.pipeline.library import execute, resize_vectors

DIMENSIONS = 32
SENT = """
    CREATE TABLE chaos_sent (msg_id bigint);
    CREATE TABLE chaos_purged (msg_id bigint);
    CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO chaos_sent SELECT msg_id FROM fresh;
        RETURN NULL;
    END $$;
    CREATE TRIGGER chaos_note AFTER INSERT ON pgmq.q_embeddings
        REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION chaos_note();
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the chaos happens."""

    database: Database
    log: Path

    def crash(self) -> None:
        """Kill one of the server's processes: the server takes that for damage, ends all others and recovers."""
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.database.url) as connection:
            os.kill(connection.info.backend_pid, signal.SIGKILL)
            connection.execute("SELECT 1")

    def complaints(self, text: str) -> int:
        """Count the server's own log lines that say ``text``."""
        return self.log.read_text(errors="replace").count(text)


@contextlib.contextmanager
def chaos_place(name: str) -> Iterator[Place]:
    """Start a server, make the database with pipeline and bookkeeping, and stop the server at the end."""
    server = Server(name=f"chaos-{name}", durable=False, linger=0.5)
    address = join(server)
    url = f"postgresql://{address.user}@/{{}}?host={quote(address.host)}&port={address.port}"
    with psycopg.connect(url.format("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE chaos")
        # What was committed survives the crash of a process; only the machine's own crash would lose it.
        connection.execute("ALTER DATABASE chaos SET synchronous_commit = on")
    database = Database(vendor="postgresql", url=url.format("chaos"))
    try:
        with as_default(database):
            call_command("migrate", verbosity=0, interactive=False)
            install(using="default")
            resize_vectors(DIMENSIONS)
            job_queue().create()
            execute(SENT)
            log = server_folders(name=server.name, account=server_account()).log
            yield Place(database=database, log=log)
    finally:
        leave(server)
