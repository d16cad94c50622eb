"""What `pip install` of the app brings is all that it imports; optional packages wait until they are used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from project.local import CHECKOUT

NEED_MORE = {
    "integrity.backends.postgresql.bulk": "psycopg",
    "integrity.backends.postgresql.loading": "psycopg",
    "integrity.backends.postgresql.travelling": "psycopg",
    "integrity.backends.postgresql.upserts": "psycopg",
    "integrity.pipeline.arrays": "psycopg",
    "integrity.pipeline.copying": "psycopg",
    "integrity.pipeline.vectors": "psycopg",
    "integrity.pipeline.providers.openai": "openai",
}
"""Modules that import a package which is not installed with the app, and which nothing else imports at its top."""

STORY = """
import json, pkgutil, sys

ABSENT = json.loads(sys.argv[1])


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())

import django
from django.conf import settings
from django.core.management import CommandError, call_command

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "own.sqlite3"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "integrity",
    ],
    INTEGRITY_EMBEDDING_PROVIDER={"name": "openai"},
    INTEGRITY_SYSTEMS=["embeddings", "clustering", "patterns", "workflows", "files"],
)
django.setup()

import integrity

need_more = {}
for module in pkgutil.walk_packages(integrity.__path__, "integrity."):
    try:
        __import__(module.name)
    except ModuleNotFoundError as error:
        need_more[module.name] = error.name

call_command("migrate", verbosity=0)
call_command("audit", stdout=sys.stderr)

from integrity.exceptions import IntegrityAppError
from integrity.pipeline.providers import get_provider
from integrity.queue import shipped_version
from integrity.writes.sources import read_qdrant

refused = []
for part in (
    lambda: call_command("embedding_queue", "status"),
    get_provider,
    shipped_version,
    lambda: next(read_qdrant(location=".", collection="patterns")),
):
    try:
        part()
    except (CommandError, IntegrityAppError) as error:
        refused.append(str(error))
json.dump([need_more, refused], sys.stdout)
"""


def installed_with(requirements: Iterable[str]) -> set[str]:
    """The distributions that pip installs for these requirements, by canonical name."""
    found: set[str] = set()
    waiting = [Requirement(requirement) for requirement in requirements]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name not in found and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            found.add(name)
            waiting += map(Requirement, requires(name) or ())
    return found


def test_without_optional_packages_the_app_starts_and_says_what_it_needs(tmp_path: Path) -> None:
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]
    present = {"integrity", *installed_with(declared)}
    absent = [
        package
        for package, owners in packages_distributions().items()
        if not present.intersection(map(canonicalize_name, owners))
    ]

    told = subprocess.run(
        [sys.executable, "-c", STORY, json.dumps(absent)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stderr
    need_more, refused = json.loads(told.stdout)
    assert need_more == NEED_MORE
    for words, message in zip(
        ("needs PostgreSQL", "No module named 'openai'", "pip install pgmq", "pip install qdrant-client"),
        refused,
        strict=True,
    ):
        assert words in message
