"""Databases for tests: real ones, with real commits, each made from a template and thrown away."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

import psycopg
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from psycopg import sql

from project import databases
from project.embedded.client import join
from project.local import CHECKOUT
from tests import settings


@dataclass(frozen=True, kw_only=True)
class Database:
    """One database of one test; ``url`` is a ``DATABASE_URL`` for any process."""

    vendor: str
    url: str

    @property
    def path(self) -> Path:
        """The file of an SQLite database."""
        return Path(unquote(self.url.removeprefix("sqlite:///")))

    def connect(self) -> Any:
        """Return an independent connection of the driver's own kind; the caller closes it."""
        if self.vendor == "sqlite":
            return sqlite3.connect(self.path, timeout=20)
        return psycopg.connect(self.url)

    def execute(self, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own, commit, and return the rows, if it has any."""
        with contextlib.closing(self.connect()) as connection:
            cursor = connection.execute(statement, parameters)
            rows = list(cursor.fetchall()) if cursor.description else []
            connection.commit()
            return rows

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a command that works on this database and keeps all its tables there."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DATABASE_URL": self.url,
            "SITE_DATABASE_URL": "default",
            **(extra or {}),
        }

    def manage(
        self, *args: str, input: str | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py`` as a process of its own and return what it said and how it ended."""
        return subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=CHECKOUT,
            env=self.environment(env),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            check=False,
        )

    def popen(self, *args: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        """Start ``manage.py`` as a process of its own; the caller waits for it."""
        defaults = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "manage.py", *args]
        return subprocess.Popen(command, cwd=CHECKOUT, env=self.environment(env), text=True, **(defaults | options))


class Maker(Protocol):
    """Makes and drops the databases of one vendor."""

    def make(self, *, template: Database | None = None) -> Database: ...

    def drop(self, database: Database) -> None: ...


class PostgresMaker:
    """Databases on the embedded test server, or on the one that ``TEST_DATABASE_URL`` names."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def make(self, *, template: Database | None = None) -> Database:
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        source = _database_name(template.url) if template else "template1"
        # FILE_COPY: without fsync, copying files is several times faster than logging every page.
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(source)
            )
        )
        return Database(vendor="postgresql", url=self._url(name))

    def drop(self, database: Database) -> None:
        name = sql.Identifier(_database_name(database.url))
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(settings.TEST_DATABASE_URL or self._url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _url(self, name: str) -> str:
        if settings.TEST_DATABASE_URL:
            return urlsplit(settings.TEST_DATABASE_URL)._replace(path=f"/{name}").geturl()
        address = join(settings.TEST_SERVER)
        return f"postgresql://{address.user}@/{name}?host={quote(address.host)}&port={address.port}"


class SQLiteMaker:
    """Databases in files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    def make(self, *, template: Database | None = None) -> Database:
        path = self._folder / f"{next(self._numbers)}.sqlite"
        if template:
            shutil.copyfile(template.path, path)
        else:
            path.touch()
        return Database(vendor="sqlite", url=f"sqlite:///{quote(str(path))}")

    def drop(self, database: Database) -> None:
        for path in self._folder.glob(f"{database.path.name}*"):
            path.unlink()


@contextlib.contextmanager
def as_default(database: Database) -> Iterator[Database]:
    """Point Django's alias ``default`` at ``database`` in this process, and back at the end."""
    before = connections.databases["default"]
    _point_default_at(databases.owners_database(url=database.url))
    try:
        yield database
    finally:
        _point_default_at(before)


def _point_default_at(config: dict[str, Any]) -> None:
    connections.close_all()
    with contextlib.suppress(AttributeError):
        del connections["default"]  # this thread's wrapper, if it had one
    connections.databases["default"] = connections.configure_settings({"default": config})["default"]
    ContentType.objects.clear_cache()


def _database_name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
