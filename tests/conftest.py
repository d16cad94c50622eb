"""Fixtures for every test. A database is real, fresh and fully migrated; what a test commits is committed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from django.apps import apps
from django.core.management import call_command
from hypothesis import settings
from pytest_django import DjangoDbBlocker

from tests.commands import CommandResult, run_command
from tests.databases import Database, Maker, PostgresMaker, SQLiteMaker, as_default
from tests.ponies.tables import make_tables
from tests.standing import emptied

POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.postgres)
SQLITE = pytest.param("sqlite", marks=pytest.mark.sqlite)
BOTH = [POSTGRESQL, SQLITE]

settings.register_profile("unhurried", deadline=None)  # a busy machine is no fault of the code's
settings.load_profile("unhurried")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in a shell's background, whose children would ignore it as well
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def makers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Maker]:
    """What makes databases, by vendor. Nothing starts before the first database is made."""
    return {"postgresql": PostgresMaker(), "sqlite": SQLiteMaker(tmp_path_factory.mktemp("sqlite"))}


class Templates:
    """Migrated databases to copy from, each made at its first use."""

    def __init__(self, makers: dict[str, Maker]) -> None:
        self._makers = makers
        self._made: dict[tuple[str, str], Database] = {}

    def get(self, vendor: str, migration: str) -> Database:
        """Return the template whose app ``integrity`` is at ``migration``; an empty one means the newest."""
        key = (vendor, migration)
        if key not in self._made:
            template = self._makers[vendor].make()
            with as_default(template):
                _migrate(migration)
            self._made[key] = template
        return self._made[key]

    def ponies(self, vendor: str) -> Database:
        """Return the newest template with the tables of the hostile app ``tests.ponies``."""
        key = (vendor, "ponies")
        if key not in self._made:
            template = self._makers[vendor].make(template=self.get(vendor, ""))
            with as_default(template):
                make_tables()
            self._made[key] = template
        return self._made[key]

    def drop_all(self) -> None:
        for (vendor, _), template in self._made.items():
            self._makers[vendor].drop(template)


def _migrate(migration: str) -> None:
    if not migration:
        call_command("migrate", verbosity=0, interactive=False)
        return
    for label in ("contenttypes", "auth", "admin", "sessions"):
        call_command("migrate", label, verbosity=0, interactive=False)
    call_command("migrate", apps.get_app_config("integrity").label, migration, verbosity=0, interactive=False)


@pytest.fixture(scope="session")
def templates(makers: dict[str, Maker], django_db_blocker: DjangoDbBlocker) -> Iterator[Templates]:
    """The templates of this session, dropped at its end."""
    templates = Templates(makers)
    yield templates
    with django_db_blocker.unblock():
        templates.drop_all()


class Databases:
    """Makes the databases of one test, points Django at the newest, and drops them at the end."""

    def __init__(self, makers: dict[str, Maker], templates: Templates) -> None:
        self._makers = makers
        self._templates = templates
        self._stack = ExitStack()

    def empty(self, vendor: str) -> Database:
        """Return a database with nothing in it."""
        return self._use(vendor, None)

    def migrated(self, vendor: str, migration: str = "") -> Database:
        """Return a database whose app ``integrity`` is at ``migration``; an empty one means the newest."""
        return self._use(vendor, self._templates.get(vendor, migration))

    def ponies(self, vendor: str) -> Database:
        """Return a migrated database with the tables of the hostile app ``tests.ponies``."""
        return self._use(vendor, self._templates.ponies(vendor))

    def close(self) -> None:
        self._stack.close()

    def _use(self, vendor: str, template: Database | None) -> Database:
        maker = self._makers[vendor]
        database = maker.make(template=template)
        self._stack.callback(maker.drop, database)
        return self._stack.enter_context(as_default(database))


@pytest.fixture
def databases(
    makers: dict[str, Maker], templates: Templates, django_db_blocker: DjangoDbBlocker
) -> Iterator[Databases]:
    """Makes any number of databases for one test."""
    with django_db_blocker.unblock():
        databases = Databases(makers, templates)
        yield databases
        databases.close()


@pytest.fixture(params=BOTH)
def database(request: pytest.FixtureRequest, databases: Databases) -> Database:
    """A migrated database, on each vendor in turn."""
    return databases.migrated(request.param)


@pytest.fixture(params=BOTH)
def empty_database(request: pytest.FixtureRequest, databases: Databases) -> Database:
    """A database with nothing in it, on each vendor in turn."""
    return databases.empty(request.param)


@pytest.fixture(params=BOTH)
def database_at(request: pytest.FixtureRequest, databases: Databases) -> Callable[[str], Database]:
    """Makes a database at one migration of the app, such as ``database_at("0001")``, on each vendor in turn."""
    return lambda migration: databases.migrated(request.param, migration)


@pytest.fixture(params=[POSTGRESQL])
def postgres_database(request: pytest.FixtureRequest, databases: Databases) -> Database:
    """A migrated PostgreSQL database."""
    return databases.migrated(request.param)


@pytest.fixture(scope="session")
def standing_database(
    makers: dict[str, Maker], templates: Templates, django_db_blocker: DjangoDbBlocker
) -> Iterator[Database]:
    """The PostgreSQL database that ``pgmq_database`` empties; nobody else uses it."""
    with django_db_blocker.unblock():
        maker = makers["postgresql"]
        database = maker.make(template=templates.get("postgresql", ""))
        yield database
        maker.drop(database)


@pytest.fixture(params=[POSTGRESQL])
def pgmq_database(
    request: pytest.FixtureRequest, standing_database: Database, django_db_blocker: DjangoDbBlocker
) -> Iterator[Database]:
    """A migrated PostgreSQL database with PGMQ, emptied instead of made: for the many tests of the pipeline."""
    with django_db_blocker.unblock(), emptied(standing_database) as database:
        yield database


@pytest.fixture(params=[SQLITE])
def sqlite_database(request: pytest.FixtureRequest, databases: Databases) -> Database:
    """A migrated SQLite database."""
    return databases.migrated(request.param)


@pytest.fixture(params=BOTH)
def ponies(request: pytest.FixtureRequest, databases: Databases) -> Database:
    """A migrated database with the tables of the hostile app ``tests.ponies``, on each vendor in turn."""
    return databases.ponies(request.param)


@pytest.fixture(params=[POSTGRESQL])
def postgres_ponies(request: pytest.FixtureRequest, databases: Databases) -> Database:
    """The same on PostgreSQL."""
    return databases.ponies(request.param)


@pytest.fixture(params=[SQLITE])
def sqlite_ponies(request: pytest.FixtureRequest, databases: Databases) -> Database:
    """The same on SQLite."""
    return databases.ponies(request.param)


@pytest.fixture
def call() -> Callable[..., CommandResult]:
    """Runs a management command in this process, as from a shell."""
    return run_command
