"""From DATABASE_URL and SITE_DATABASE_URL to Django's settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.databases import embedded, owners_database, site_database

SITE_FILE = Path("site.sqlite3")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///relative.db", "relative.db"),
        ("sqlite:////absolute/path.db", "/absolute/path.db"),
        ("sqlite:////with a space/a.db", "/with a space/a.db"),
        ("sqlite:////with%20a%20space/a.db", "/with a space/a.db"),
        ("sqlite:///what?.db", "what?.db"),
        ("sqlite:///number#1.db", "number#1.db"),
    ],
)
def test_sqlite_paths_are_taken_as_they_are(url: str, name: str) -> None:
    assert owners_database(url=url)["NAME"] == name


def test_sqlite_waits_for_its_one_writer() -> None:
    assert owners_database(url="sqlite:///a.db")["OPTIONS"] == {"timeout": 20}


def test_postgresql_urls_are_unquoted() -> None:
    database = owners_database(url="postgresql://me:p%40ss@db.example:5433/the%20name?sslmode=require")

    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["USER"], database["PASSWORD"], database["HOST"]) == ("me", "p@ss", "db.example")
    assert (database["PORT"], database["NAME"]) == (5433, "the name")
    assert database["OPTIONS"] == {"connect_timeout": 10, "sslmode": "require"}


def test_a_sockets_folder_keeps_its_case() -> None:
    assert owners_database(url="postgresql://me@%2Fvar%2FMy Sockets:5433/x")["HOST"] == "/var/My Sockets"


def test_no_url_means_the_embedded_server() -> None:
    assert owners_database(url="") == embedded(name="integrity")


def test_the_embedded_server_has_many_databases() -> None:
    assert owners_database(url="embedded:///integrity_demo") == embedded(name="integrity_demo")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me@host/name",
        "nonsense",
        "/a/path.db",
        "sqlite://",
        "sqlite:///",
        "embedded://",
        "embedded:integrity",
        "postgresql://",
        "postgresql://me@host",
        "postgresql://me@host:port/name",
        "postgresql://me:se[cret@host/name",
        "postgresql://me:se#cret@host/name",
        "postgresql://me:se/cret@host/name",
    ],
)
def test_a_malformed_url_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL ") as caught:
        owners_database(url=url)

    assert "cret" not in str(caught.value)
    assert "Examples" in str(caught.value) or "none of" in str(caught.value)


@pytest.mark.parametrize("url", ["", "embedded:///integrity_demo"])
def test_an_embedded_database_holds_the_sites_tables_too(url: str) -> None:
    assert site_database(url="", default=owners_database(url=url), file=SITE_FILE) is None


@pytest.mark.parametrize("url", ["sqlite:///theirs.db", "postgresql://me@host/name"])
def test_somebody_elses_database_does_not(url: str) -> None:
    site = site_database(url="", default=owners_database(url=url), file=SITE_FILE)

    assert site is not None
    assert (site["ENGINE"], site["NAME"]) == ("django.db.backends.sqlite3", "site.sqlite3")


def test_unless_its_owner_says_so() -> None:
    assert site_database(url="default", default=owners_database(url="sqlite:///a.db"), file=SITE_FILE) is None


def test_the_site_may_be_anywhere() -> None:
    site = site_database(url="postgresql://me@host/site", default=embedded(), file=SITE_FILE)

    assert site is not None
    assert site["NAME"] == "site"


def test_a_malformed_site_url_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^SITE_DATABASE_URL "):
        site_database(url="nonsense", default=embedded(), file=SITE_FILE)
