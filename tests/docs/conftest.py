"""The databases on which the sessions in pages begin."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integrity.demo.data import make_dirty_data
from tests.commands import CommandResult
from tests.conftest import Databases
from tests.management.demos import demo_database
from tests.operations.owners import CLUSTERING, EMBEDDINGS, build

Call = Callable[..., CommandResult]


@pytest.fixture
def begin(databases: Databases, call: Call, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Makes the database that a session begins on, by the session's name and the vendor."""

    def make(session: str, vendor: str) -> None:
        SESSIONS[session](databases, vendor, call, monkeypatch)

    return make


def _demo(databases: Databases, vendor: str, _call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    if vendor != "postgresql":
        pytest.skip("the demo runs on PostgreSQL only")
    demo_database(databases.migrated(vendor), monkeypatch)


def _pipeline_demo(databases: Databases, vendor: str, _call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's workers are processes: the environment tells them where to work."""
    if vendor != "postgresql":
        pytest.skip("the demo runs on PostgreSQL only")
    demo_database(databases.migrated(vendor), monkeypatch)


def _after_the_demo(databases: Databases, vendor: str, call: Call, _monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice removed, once undone, constrained."""
    databases.migrated(vendor, "0001")
    make_dirty_data(using="default")
    for command in ("dedupe_embeddings --apply --no-input", "undo_dedupe 1", "migrate -v0"):
        assert call(*command.split()).code == 0


def _owners_database(databases: Databases, vendor: str, _call: Call, _monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of Django's or ours is in it."""
    build(databases.empty(vendor), EMBEDDINGS, CLUSTERING)
    make_dirty_data(using="default")


SESSIONS: dict[str, Callable[[Databases, str, Call, pytest.MonkeyPatch], None]] = {
    "the demo": _demo,
    "the pipeline's demo": _pipeline_demo,
    "after the demo": _after_the_demo,
    "somebody's database": _owners_database,
}
