"""Workers as processes: stopped, killed, and left without a server."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, ProgrammingError, connection
from django.db.models.functions import Now
from pytest_django import Settings

from integrity.models import CircuitBreaker
from integrity.models.fields import uuid7
from integrity.pipeline import run_workers
from integrity.pipeline.providers import InputRejected, ProviderMisconfigured
from integrity.pipeline.providers.openai import OpenAIProvider
from tests.commands import CommandResult
from tests.databases import Database
from tests.pipeline.library import DIMENSIONS, Library, assert_complete, execute, fetch, new_file, words
from tests.pipeline.providers import Held
from tests.pipeline.stage import Actor
from tests.waiting import eventually

WAITS_FOR_A_LOCK = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
PROVIDER = {"EMBEDDING_PROVIDER": "offline", "EMBEDDING_DIMENSIONS": str(DIMENSIONS)}


@contextmanager
def worker_process(database: Database, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``manage.py embedding_worker`` on the test's database; it is gone at the end."""
    with database.popen("embedding_worker", *options, env=PROVIDER) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def worker_in_a_commit(database: Database, *options: str) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """Run a worker on what waits; yield it and the connection that its first commit waits for."""
    with database.connect() as blocker:
        blocker.execute("SELECT 1 FROM file_chunks WHERE chunk_index = 0 FOR UPDATE")
        with worker_process(database, *options) as process:
            # It has read its messages, called the provider, and holds the file.
            eventually(lambda: fetch(WAITS_FOR_A_LOCK))
            yield process, blocker


def test_a_worker_ends_by_itself_when_the_queue_is_empty(library: Library, pgmq_database: Database) -> None:
    processed = library.upload(*words("text", 25))

    with worker_process(pgmq_database, "--until-empty", "--batch-size=10", "--concurrency=2") as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err) == (0, "25 done.\n", "")
    assert_complete(library, processed.file, version=1, chunks=25)


def test_a_worker_says_that_the_provider_stays_broken_and_ends(library: Library, pgmq_database: Database) -> None:
    library.upload(*words("text", 5))
    until = Now() + timedelta(hours=1)
    CircuitBreaker.objects.create(
        name=library.provider.model, state="open", openings=2, until=until, reason="no such key."
    )

    with worker_process(pgmq_database, "--until-empty", "--concurrency=2") as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, len(err.splitlines()), library.waiting()) == (2, "", 1, 5)
    assert "it failed again when it was tried: no such key. What waits stays in the queue." in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_asked_to_stop_ends_well(
    library: Library, pgmq_database: Database, number: signal.Signals
) -> None:
    processed = library.upload(*words("text", 5))

    with worker_process(pgmq_database) as process:
        eventually(lambda: library.waiting() == 0)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err) == (0, "5 done.\n", "")
    assert_complete(library, processed.file, version=1, chunks=5)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_worker_that_is_stopped_before_the_queue_is_empty_says_so(
    library: Library, pgmq_database: Database, number: signal.Signals, code: int
) -> None:
    library.upload(*words("text", 50))

    with worker_in_a_commit(pgmq_database, "--until-empty", "--batch-size=1") as (process, blocker):
        process.send_signal(number)
        blocker.rollback()
        out, err = process.communicate(timeout=60)

    # The worker may have read on before it took notice.
    assert (process.returncode, out.replace(", 1 given back", "")) == (code, f"{50 - library.waiting()} done.\n")
    assert err == "Interrupted. Nothing is lost: what was not done is read again.\n"


def test_a_second_signal_ends_a_worker_at_once(library: Library, pgmq_database: Database) -> None:
    library.upload(*words("text", 5))

    with worker_in_a_commit(pgmq_database) as (process, _):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)

    assert process.returncode in (130, 143)
    assert (out, library.embedded_anywhere(), library.waiting()) == ("", 0, 5)


def test_what_a_killed_worker_held_is_done_by_the_next_one(library: Library, pgmq_database: Database) -> None:
    processed = library.upload(*words("text", 5))

    with worker_in_a_commit(pgmq_database, "--batch-size=5") as (process, _):
        process.kill()
        process.wait(30)
    eventually(lambda: fetch(WAITS_FOR_A_LOCK) == [])

    assert (library.embedded_anywhere(), library.waiting()) == (0, 5)
    library.let_leases_end()
    assert library.work() == {"done": 5}
    assert_complete(library, processed.file, version=1, chunks=5)


def test_a_single_batch_that_the_provider_is_not_to_be_called_for_is_no_success(
    library: Library, call: Callable[..., CommandResult], settings: Settings
) -> None:
    settings.INTEGRITY_EMBEDDING_PROVIDER = {"name": "offline", "dimensions": DIMENSIONS}
    assert call("embedding_worker", "--once").out == "Nothing to do.\n"
    library.upload("text")
    CircuitBreaker.objects.update(state="open", openings=1, until=Now() + timedelta(hours=1), reason="no such key.")

    result = call("embedding_worker", "--once")

    assert (result.code, result.out, library.waiting()) == (2, "", 1)
    assert "is not called, until it is tried again, since it failed: no such key. What waits stays" in result.err


def test_a_lost_connection_in_the_middle_is_opened_again(library: Library) -> None:
    processed = library.upload(*words("text", 5))

    def embedded_once_leases_end() -> bool:
        library.let_leases_end()
        return library.embedded_anywhere() == 5

    with Actor(lambda: library.worker().run(until_empty=True), at="vectors written") as worker:
        end_other_connections()
        assert library.embedded_anywhere() == 0
        worker.go_on()
        eventually(embedded_once_leases_end)

    assert_complete(library, processed.file, version=1, chunks=5)


def test_a_commit_whose_outcome_is_unknown_is_neither_lost_nor_done_twice(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    processed = library.upload(*words("text", 5))
    commit = connection._commit  # type: ignore[attr-defined]

    def commit_and_cut() -> None:
        is_the_one = library.embedded_anywhere() == 5
        commit()
        if is_the_one:
            monkeypatch.undo()
            raise OperationalError("the connection was cut after the COMMIT had been sent")

    monkeypatch.setattr(connection, "_commit", commit_and_cut)
    counts = library.work()

    assert counts == {"lost": 5}
    assert library.outcomes() == {"done": 5}
    assert_complete(library, processed.file, version=1, chunks=5)


def test_a_read_only_database_stops_nothing_for_good(library: Library, caplog: pytest.LogCaptureFixture) -> None:
    processed = library.upload(*words("text", 3))
    name = connection.settings_dict["NAME"]
    execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    try:
        with Actor(lambda: library.worker().run(until_empty=True)):
            eventually(lambda: "read-only transaction" in caplog.text)
            execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    finally:
        execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')

    assert_complete(library, processed.file, version=1, chunks=3)


def test_a_worker_that_is_to_empty_the_queue_gives_up_on_a_database_that_keeps_failing(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    processed = library.upload(*words("text", 3))
    monkeypatch.setattr("integrity.pipeline.worker.MOST_FAILURES", 3)

    execute("ALTER TABLE integrity_breaker RENAME TO mislaid")
    try:
        with pytest.raises(ProgrammingError, match="integrity_breaker"):
            library.worker().run(until_empty=True)
    finally:
        execute("ALTER TABLE mislaid RENAME TO integrity_breaker")

    library.worker().run(until_empty=True)
    assert_complete(library, processed.file, version=1, chunks=3)


def test_a_lease_is_extended_while_the_provider_is_slow(library: Library, settings: Settings) -> None:
    settings.INTEGRITY_EMBEDDING_LEASE = 1
    processed = library.upload(*words("text", 3))
    provider = Held()
    first = "SELECT MIN(vt) FROM pgmq.q_embeddings"

    with Actor(lambda: library.work(provider=provider)) as slow:
        assert provider.arrived.wait(30)
        begin = fetch(first)
        eventually(lambda: fetch(first) > begin)
        assert library.queue.read(vt=timedelta(minutes=1), qty=10) == []
        provider.go_on.set()

    assert slow.result == {"done": 3}
    assert_complete(library, processed.file, version=1, chunks=3)


def test_the_leases_of_one_half_are_extended_while_the_provider_is_slow_with_the_other(
    library: Library, settings: Settings
) -> None:
    settings.INTEGRITY_EMBEDDING_LEASE = 1
    processed = library.upload(*words("text", 4))
    provider = Held(unheld=1, answers=[InputRejected("one of these texts is not welcome")])
    first, last = "SELECT MIN(vt) FROM pgmq.q_embeddings", "SELECT MAX(vt) FROM pgmq.q_embeddings"

    with Actor(lambda: library.work(provider=provider)) as slow:
        assert provider.arrived.wait(30)
        begin = fetch(last)
        eventually(lambda: fetch(first) > begin)
        provider.go_on.set()

    assert (slow.result, provider.calls) == ({"done": 4}, [4, 2, 2])
    assert_complete(library, processed.file, version=1, chunks=4)


def test_what_was_given_back_is_not_hidden_again_while_the_rest_of_its_batch_is_done(
    library: Library, settings: Settings
) -> None:
    settings.INTEGRITY_EMBEDDING_LEASE = 1
    library.upload(*words("text", 2))
    execute(f"UPDATE {library.queue.table} SET read_ct = 2")  # two suspects: one is done now
    provider = Held()
    latest = "SELECT MAX(vt) FROM pgmq.q_embeddings"

    with Actor(library.worker(provider=provider).step):
        assert provider.arrived.wait(30)
        begin = fetch(latest)
        eventually(lambda: fetch(latest) > begin)
        assert fetch(f"SELECT COUNT(*) FROM {library.queue.table} WHERE vt < clock_timestamp()") == [(1,)]
        provider.go_on.set()


def test_the_clock_of_a_workers_machine_does_not_matter(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every time that is compared is the database's: a worker a year ahead or behind works like any other."""
    processed = library.upload(*words("text", 6))

    for year in (-31_536_000, 31_536_000):
        skewed = time.time() + year
        monkeypatch.setattr(time, "time", partial(float, skewed))
        library.worker(batch_size=3).step()
        monkeypatch.undo()

    assert_complete(library, processed.file, version=1, chunks=6)


@pytest.mark.parametrize(
    "options",
    [["--concurrency=0"], ["--batch-size=-1"], ["--batch-size=99999999999"], ["--once", "--until-empty"], ["--x"]],
)
def test_senseless_options_are_refused(call: Callable[..., CommandResult], options: list[str]) -> None:
    result = call("embedding_worker", *options)

    assert (result.code, result.err[:6]) == (2, "usage:")


@pytest.mark.parametrize("table", ["integrity_chore", "integrity_breaker", "file_chunks"])
def test_a_missing_table_is_told_at_the_start(
    library: Library, call: Callable[..., CommandResult], settings: Settings, table: str
) -> None:
    settings.INTEGRITY_EMBEDDING_PROVIDER = {"name": "offline", "dimensions": DIMENSIONS}
    execute(f"ALTER TABLE {table} RENAME TO mislaid")
    try:
        result = call("embedding_worker")
    finally:
        execute(f"ALTER TABLE mislaid RENAME TO {table}")

    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert f'relation "{table}" does not exist' in result.err


def test_a_model_whose_name_cannot_be_stored_is_refused_at_the_start(library: Library) -> None:
    provider = OpenAIProvider(model="x" * 201, dimensions=DIMENSIONS)

    with pytest.raises(ProviderMisconfigured, match="of 201 characters"):
        run_workers(queue=library.queue, provider=provider)


@pytest.mark.parametrize("command", ["embedding_worker --once", "embedding_queue reconcile"])
@pytest.mark.parametrize("table", ["file_embeddings", "integrity_file_state"])
def test_a_provider_that_nobody_chose_takes_nothing_on_beside_another_models_files(
    library: Library, call: Callable[..., CommandResult], settings: Settings, command: str, table: str
) -> None:
    library.upload("text")
    library.work()
    column = "model_version" if table == "file_embeddings" else "model"
    execute(f"UPDATE {table} SET {column} = 'text-embedding-3-small'")
    execute("INSERT INTO file_chunks (id, file_id, chunk_index, content) VALUES (%s, %s, 0, '')", uuid7(), new_file())
    settings.INTEGRITY_EMBEDDING_PROVIDER = {"dimensions": DIMENSIONS}

    refused = call(*command.split())

    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "are of text-embedding-3-small, not of offline-hashing-48. Set INTEGRITY_EMBEDDING_PROVIDER" in refused.err
    assert fetch("SELECT COUNT(*) FROM integrity_file_state") == [(1,)]
    settings.INTEGRITY_EMBEDDING_PROVIDER = {"name": "offline", "dimensions": DIMENSIONS}
    assert call(*command.split()).code == 0


def test_vectors_that_do_not_fit_are_refused_at_the_start(library: Library, call: Callable[..., CommandResult]) -> None:
    if fetch("SELECT to_regtype('vector')") == [(None,)]:
        pytest.skip("real[] takes vectors of any length")

    result = call("embedding_worker", "--once")

    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert "makes vectors of 1536 numbers, file_embeddings.embedding takes 48" in result.err


def end_other_connections() -> None:
    """End every connection to this database but ours."""
    execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
