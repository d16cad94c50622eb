"""The site's tables live beside somebody else's database, never in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.databases import Database

pytestmark = pytest.mark.slow

SITE_TABLES = {"auth_user", "auth_permission", "django_admin_log", "django_content_type", "django_session"}
TABLES = """
from django.db import connections
import json
print(json.dumps({alias: connections[alias].introspection.table_names() for alias in connections}))
"""
USE_ADMIN = """
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

User.objects.create_superuser("somebody", password="secret")
client = Client(SERVER_NAME="localhost")
assert client.login(username="somebody", password="secret")
assert client.get("/admin/").status_code == 200
assert client.post("/admin/auth/group/add/", {"name": "readers"}).status_code == 302
print(LogEntry.objects.using("site").get())
"""


def environment(tmp_path: Path) -> dict[str, str]:
    return {"SITE_DATABASE_URL": f"sqlite:///{tmp_path}/site.sqlite3"}


def migrate(database: Database, tmp_path: Path, *, then: str) -> str:
    """Migrate both databases, then run a piece of Python and return what it printed."""
    for alias in ("default", "site"):
        result = database.manage("migrate", "--database", alias, "-v0", env=environment(tmp_path))
        assert (result.returncode, result.stderr) == (0, "")
    result = database.manage("shell", "-v0", "-c", then, env=environment(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_each_table_is_where_it_belongs(empty_database: Database, tmp_path: Path) -> None:
    tables = json.loads(migrate(empty_database, tmp_path, then=TABLES))

    assert set(tables["site"]) >= SITE_TABLES
    assert not [table for table in tables["default"] if table.startswith(("auth_", "django_"))][1:]
    assert "django_migrations" in tables["default"]
    assert "integrity_run" in tables["default"]
    assert not [table for table in tables["site"] if table.startswith("integrity_")]
    assert "embedding" not in tables["site"]


def test_somebody_elses_database_receives_only_our_books(empty_database: Database, tmp_path: Path) -> None:
    empty_database.execute("CREATE TABLE customers (id integer PRIMARY KEY)")

    tables = json.loads(migrate(empty_database, tmp_path, then=TABLES))

    theirs = {table for table in tables["default"] if not table.startswith("integrity_")}
    assert theirs == {"customers", "django_migrations"}


def test_the_admin_works_with_its_tables_elsewhere(empty_database: Database, tmp_path: Path) -> None:
    assert "readers" in migrate(empty_database, tmp_path, then=USE_ADMIN)


def test_one_database_for_everything(empty_database: Database) -> None:
    result = empty_database.manage("migrate", "-v0")

    assert (result.returncode, result.stderr) == (0, "")
    assert empty_database.execute("SELECT count(*) FROM auth_user") == [(0,)]


def test_tables_of_other_systems_stay_out(empty_database: Database, tmp_path: Path) -> None:
    env = {"INTEGRITY_SYSTEMS": "embeddings"}

    assert empty_database.manage("migrate", "-v0", env=env).returncode == 0
    result = empty_database.manage("shell", "-v0", "-c", TABLES, env=env)

    tables = json.loads(result.stdout)["default"]
    assert "embedding" in tables
    assert "file_embeddings" not in tables
    assert "workflow_executions" not in tables
