"""From a database URL to what Django wants in ``DATABASES``."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from project.embedded.server import Server

MAIN_SERVER = Server()
EMBEDDED_NAME = "integrity"
EXAMPLES = "postgresql://user:password@host:5432/name, sqlite:///relative/path, sqlite:////absolute/path"
CONNECT_TIMEOUT = 10  # seconds; PostgreSQL's own default is to wait for ever
BUSY_TIMEOUT = 20  # seconds to wait for SQLite's one writer


def embedded(*, name: str = EMBEDDED_NAME, server: Server = MAIN_SERVER) -> dict[str, Any]:
    """Return the settings of a database on the embedded server."""
    return {"ENGINE": "project.embedded.backend", "NAME": name, "SERVER": server}


def owners_database(*, url: str) -> dict[str, Any]:
    """Return the settings of the database that ``DATABASE_URL`` names; an empty one means the embedded server.

    Raises:
        ImproperlyConfigured: the URL is malformed, or of a database that this project does not know.
    """
    return parse(url, variable="DATABASE_URL", sqlite_engine="project.sqlite")


def site_database(*, url: str, default: dict[str, Any], file: Path) -> dict[str, Any] | None:
    """Return the settings of the site database, or None where it is the default database.

    Args:
        url: ``SITE_DATABASE_URL``; ``default`` puts everything into one database; empty leaves the choice to us.
        default: the settings of the default database. An embedded one is ours, and holds the site's tables too.
        file: where the site's own SQLite file belongs.

    Raises:
        ImproperlyConfigured: the URL is malformed, or of a database that this project does not know.
    """
    if url == "default" or (not url and is_embedded(default)):
        return None
    if not url:
        return _sqlite(str(file), engine="django.db.backends.sqlite3")
    return parse(url, variable="SITE_DATABASE_URL", sqlite_engine="django.db.backends.sqlite3")


def is_embedded(database: dict[str, Any]) -> bool:
    """Say whether a database is on the embedded server."""
    return bool(database["ENGINE"] == "project.embedded.backend")


def parse(url: str, *, variable: str, sqlite_engine: str) -> dict[str, Any]:
    """Return the settings of the database that ``url`` names; ``variable`` is for the message.

    Raises:
        ImproperlyConfigured: the URL is malformed, or of a database that this project does not know.
    """
    if not url:
        return embedded()
    scheme = url.split(":", 1)[0].lower()
    if scheme == "embedded":
        return embedded(name=_path(url, variable=variable))
    if scheme == "sqlite":
        return _sqlite(_path(url, variable=variable), engine=sqlite_engine)
    if scheme in ("postgres", "postgresql"):
        return _postgresql(url, variable=variable)
    raise ImproperlyConfigured(f"{variable} begins with {scheme[:20]!r}, which is none of: {EXAMPLES}.")


def _path(url: str, *, variable: str) -> str:
    """Return what follows ``scheme:///``."""
    # Not urlsplit: in a file's name, "?" and "#" are letters like others.
    _, found, path = url.partition(":///")
    if not found or not path:
        raise ImproperlyConfigured(f"{variable} names no database. Examples: {EXAMPLES}.")
    return unquote(path)


def _sqlite(path: str, *, engine: str) -> dict[str, Any]:
    return {"ENGINE": engine, "NAME": path, "OPTIONS": {"timeout": BUSY_TIMEOUT}}


def _postgresql(url: str, *, variable: str) -> dict[str, Any]:
    try:
        database: dict[str, Any] = {**dj_database_url.parse(url)}
    except ValueError:
        # Without the URL and without the cause: both hold the password.
        raise ImproperlyConfigured(
            f"{variable} is not a valid URL: a part of it must be percent-encoded (@ is %40, / is %2F, # is %23, "
            f"a space is %20), or its port is not a number. Examples: {EXAMPLES}."
        ) from None
    if not database["NAME"] or urlsplit(url).fragment:
        raise ImproperlyConfigured(f"{variable} names no database. Examples: {EXAMPLES}.")
    if database["HOST"].startswith("/"):
        # A socket's folder: the names of folders keep their case, unlike those of hosts.
        database["HOST"] = unquote(urlsplit(url).netloc.rpartition("@")[2].partition(":")[0])
    database["OPTIONS"] = {"connect_timeout": CONNECT_TIMEOUT} | database.get("OPTIONS", {})
    return database
