"""The pipeline's demo: what it starts is gone when it ends, and it keeps its hands off any other database.

That it is told to its end, and what it then says, is tested where the documentation shows it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integrity.demo import processes
from integrity.demo.processes import WorkerFailed, kill_worker, run_worker
from tests.commands import CommandResult
from tests.databases import Database
from tests.management.demos import demo_database
from tests.pipeline.library import fetch
from tests.snapshots import snapshot
from tests.waiting import eventually


@pytest.fixture
def environment(pgmq_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the demo's workers to this test's database, where they find no queue."""
    demo_database(pgmq_database, monkeypatch)


def workers() -> int:
    """How many other connections this database has."""
    return len(fetch("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"))


def test_the_demo_leaves_any_other_database_alone(database: Database, call: Callable[..., CommandResult]) -> None:
    before = snapshot(own_books=True)

    refused = call("demo", "--pipeline")

    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "make demo-pipeline" in refused.err
    assert ("needs PostgreSQL" in refused.err) == (database.vendor == "sqlite")
    assert snapshot(own_books=True) == before


def test_a_server_without_pgvector_is_told_of_first(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch, call: Callable[..., CommandResult]
) -> None:
    demo_database(postgres_database, monkeypatch)
    monkeypatch.setattr("integrity.operations.adopt.create_extension", lambda **_: "this server has none")

    told = call("demo", "--pipeline")

    assert (told.code, told.out, len(told.err.splitlines())) == (2, "", 1)
    assert "Search needs pgvector" in told.err


@pytest.mark.usefixtures("environment")
def test_what_a_failed_worker_said_is_told() -> None:
    with pytest.raises(WorkerFailed, match="exit code 2: CommandError: There is no queue"):
        run_worker(using="default")


@pytest.mark.usefixtures("environment")
def test_a_worker_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.0)

    with pytest.raises(WorkerFailed, match="did not empty the queue"):
        run_worker(using="default")

    eventually(lambda: workers() == 0)


@pytest.mark.usefixtures("environment")
def test_a_worker_is_killed_at_its_moment() -> None:
    kill_worker(using="default", once=lambda: workers() > 0)

    eventually(lambda: workers() == 0)
