"""The project's settings for tests: every test brings its own database, and nothing comes from the environment."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

for _name in ("DATABASE_URL", "SITE_DATABASE_URL", "INTEGRITY_SYSTEMS", "DEBUG"):
    os.environ.pop(_name, None)

from project.databases import embedded
from project.embedded.server import Server
from project.settings import *  # noqa: F403

TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL", "")
"""A PostgreSQL server to test on, by the URL of any database there; the user may create databases."""

_binaries = os.environ.get("TEST_POSTGRES_BINARIES", "")
"""The folder of other server programs (``initdb`` and ``postgres``) to run the embedded server with."""

_on_disk = bool(os.environ.get("TEST_SERVER_ON_DISK"))
"""Else it is in memory where there is room: there, making and dropping databases is several times as fast."""

_names = [
    "tests",
    *(["disk"] if _on_disk else []),
    *([sha256(_binaries.encode()).hexdigest()[:8]] if _binaries else []),
]

TEST_SERVER = Server(
    name="-".join(_names),
    durable=False,
    memory=0 if _on_disk else 4 * 1024**3,
    binaries=Path(_binaries) if _binaries else None,
)

DATABASES = {"default": embedded(name="postgres", server=TEST_SERVER)}
DATABASE_ROUTERS = ["project.routers.SystemsRouter"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests.ponies"]  # noqa: F405
PONIES_KEEPER_MODEL = "ponies.RealKeeper"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
