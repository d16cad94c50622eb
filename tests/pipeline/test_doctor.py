"""The doctor names the mistakes of a PGMQ database, ours or somebody else's."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection

from integrity.pipeline.doctor import examine
from integrity.queue import Queue, QueueMissing, QueueOutdated, install
from integrity.queue.install import PgmqMissing
from tests.commands import CommandResult
from tests.databases import Database
from tests.pipeline.library import Library, execute, fetch


def found() -> list[str]:
    """The ids of the mistakes in the database."""
    return [mistake.id for mistake in examine(using="default")]


def test_our_own_database_has_none(library: Library) -> None:
    processed = library.upload("one", "two")
    library.work()
    library.upload("three", file=processed.file)

    assert found() == []


def test_jobs_for_missing_and_replaced_chunks(library: Library) -> None:
    library.upload("text")
    library.send(job_type="generate_embedding", chunk_id=str(uuid4()))
    execute("UPDATE file_chunks SET is_active = FALSE")

    (mistake,) = examine(using="default")

    assert (mistake.id, "2 jobs" in mistake.message) == ("queue.dead_jobs", True)


@pytest.mark.parametrize("name", ["theirs", "Their Own", "-theirs"])
def test_the_hints_name_the_queue_where_it_is_not_the_usual_one(
    library: Library, call: Callable[..., CommandResult], name: str
) -> None:
    Queue(name=name).create()
    Queue(name=name).send({"job_type": "generate_embedding", "chunk_id": uuid4().hex})

    hints = {mistake.id: mistake.hint.removeprefix("Run: manage.py ") for mistake in examine(using="default")}

    assert call(*shlex.split(hints["queue.index"].removesuffix("."))).code == 0
    assert call(*shlex.split(hints["queue.dead_jobs"].partition(".")[0])).out == "Archived 1 orphans.\n"
    assert found() == []


@pytest.mark.parametrize("name", ["theirs", "Their Own", "-theirs"])
def test_a_queue_that_is_not_there_is_made_by_what_the_error_says(
    library: Library, call: Callable[..., CommandResult], name: str
) -> None:
    with pytest.raises(QueueMissing) as caught:
        Queue(name=name).require()

    assert call(*shlex.split(str(caught.value).partition("manage.py ")[2].removesuffix("."))).code == 0
    Queue(name=name).require()


def test_messages_that_are_read_for_ever(library: Library) -> None:
    library.upload("text")
    execute(f"UPDATE {library.queue.table} SET read_ct = 4711")

    (mistake,) = examine(using="default")

    assert (mistake.id, "4711 times" in mistake.message) == ("queue.cycling", True)


def test_an_archive_without_reasons(library: Library) -> None:
    Queue(name="theirs").create()
    Queue(name="theirs").archive([Queue(name="theirs").send({})])

    assert found() == ["queue.no_outcome"]


def test_an_archive_that_nobody_reads(library: Library) -> None:
    execute(
        f"INSERT INTO {library.queue.archived} (msg_id, vt, headers) "
        """SELECT n, now(), '{"outcome": "done"}' FROM generate_series(1, 100001) AS n"""
    )
    execute(f"ANALYZE {library.queue.archived}")

    assert found() == ["queue.archive"]


def test_the_notification_trigger(library: Library) -> None:
    fetch("SELECT pgmq.enable_notify_insert('embeddings'::text)")

    (mistake,) = examine(using="default")

    assert (mistake.id, "pgmq.disable_notify_insert('embeddings')" in mistake.hint) == ("queue.notify", True)


def test_an_unlogged_queue(library: Library) -> None:
    fetch("SELECT pgmq.create_unlogged('fleeting'::text)")

    assert found() == ["queue.unlogged"]


def test_a_queue_of_jobs_without_a_key(library: Library) -> None:
    Queue(name="plain").create()
    assert found() == []

    processed = library.upload("text")
    Queue(name="plain").send({"chunk_id": str(library.chunks(processed.file)[0])})

    assert found() == ["queue.index"]


@pytest.mark.parametrize("name", ["café", "50%", 'a"b{c}', "%s", "Upper Case"])
def test_queues_of_any_name_are_examined_to_the_end(library: Library, name: str) -> None:
    fetch("SELECT pgmq.create(%s::text)", name)
    fetch("SELECT pgmq.enable_notify_insert(%s::text)", name)
    fetch("SELECT pgmq.archive(%s::text, pgmq.send(%s::text, '{}'::jsonb))", name, name)
    fetch("SELECT pgmq.send(%s::text, %s::jsonb)", name, f'{{"chunk_id": "{uuid4()}"}}')

    assert found() == ["queue.dead_jobs", "queue.no_outcome", "queue.notify", "queue.index"]


def test_an_index_of_the_name_that_is_no_key(library: Library) -> None:
    execute(f"DROP INDEX pgmq.{library.queue.index}")
    execute(f"CREATE INDEX {library.queue.index} ON {library.queue.table} (msg_id)")

    assert found() == ["queue.index"]


def test_a_queue_that_was_logged_again(library: Library) -> None:
    fetch("SELECT pgmq.create_unlogged('fleeting'::text)")
    (mistake,) = examine(using="default")
    execute(mistake.hint.removeprefix("Run: ").partition(",")[0])

    assert found() == []


def test_a_queue_that_is_older_than_pgmqs_functions(library: Library) -> None:
    Queue(name="old").create()
    execute("ALTER TABLE pgmq.q_old DROP COLUMN headers, DROP COLUMN last_read_at")
    execute("ALTER TABLE pgmq.a_old DROP COLUMN headers")
    with pytest.raises(QueueOutdated, match="ADD COLUMN headers jsonb"):
        Queue(name="old").require()

    (mistake,) = examine(using="default")
    execute(mistake.hint.removeprefix("Run: ").removesuffix("."))

    assert found() == []
    Queue(name="old").require()


def test_a_queue_whose_tables_are_gone(library: Library) -> None:
    Queue(name="gone").create()
    execute("DROP TABLE pgmq.q_gone")

    (mistake,) = examine(using="default")

    assert mistake.id == "queue.tables"
    Queue(name="gone").create()
    assert found() == []


def test_a_queue_that_pgmq_does_not_list_any_more(library: Library) -> None:
    library.upload("text")
    execute("DELETE FROM pgmq.meta")

    (mistake,) = examine(using="default")

    assert (mistake.id, mistake.message[:16]) == ("queue.unlisted", "Queue embeddings")
    fetch(mistake.hint.removeprefix("Run: ").removesuffix("."))
    assert (found(), library.waiting()) == ([], 1)


def test_a_queue_that_is_gone_with_all_its_jobs(own_library: Library, call: Callable[..., CommandResult]) -> None:
    own_library.upload("one", "two")
    Queue(name="embeddings").drop()

    (missing,) = examine(using="default")
    assert (missing.id, missing.hint[:29]) == ("queue.missing", "Run: manage.py install_pgmq; ")
    assert call("install_pgmq").code == 0
    (lost,) = examine(using="default")
    assert (lost.id, ": 1 files" in lost.message) == ("queue.lost_jobs", True)

    advised = lost.hint.removeprefix("Run: manage.py ").partition(";")[0]
    assert call(*advised.split()).out == "Enqueued 2 chunks.\n"
    assert found() == []


def test_a_partitioned_queue(own_library: Library, call: Callable[..., CommandResult]) -> None:
    for table in ("q_parts", "a_parts"):
        like = f"pgmq.{table[0]}_embeddings INCLUDING DEFAULTS INCLUDING IDENTITY"
        execute(f"CREATE TABLE pgmq.{table} (LIKE {like}) PARTITION BY RANGE (msg_id)")
        execute(f"CREATE TABLE pgmq.{table}_1 PARTITION OF pgmq.{table} DEFAULT")
    execute("INSERT INTO pgmq.meta (queue_name, is_partitioned, is_unlogged) VALUES ('parts', TRUE, FALSE)")
    execute(
        "INSERT INTO pgmq.a_parts (msg_id, vt, headers) "
        """SELECT n, now(), '{"outcome": "done"}' FROM generate_series(1, 100001) AS n"""
    )
    execute("ANALYZE pgmq.a_parts")

    refused = call("install_pgmq", "--queue", "parts")

    assert found() == ["queue.archive"]
    assert (refused.code, "is partitioned" in refused.err) == (2, True)


@pytest.mark.parametrize("spelling", ["{id.hex}", "urn:uuid:{id}", "{{{id}}}", "{upper}"])
def test_an_id_that_a_worker_understands_is_no_dead_job(library: Library, spelling: str) -> None:
    (chunk,) = library.chunks(library.upload("text").file)
    library.send(job_type="generate_embedding", chunk_id=spelling.format(id=chunk, upper=str(chunk).upper()))

    assert found() == []


@pytest.mark.parametrize(
    ("columns", "mistakes"),
    [
        ("id text DEFAULT 'Chunk-A', is_active smallint DEFAULT 1", []),
        ("id text DEFAULT 'Chunk-A', is_active smallint DEFAULT 0", ["queue.dead_jobs"]),
        ("id text DEFAULT 'chunk-a', is_active boolean DEFAULT TRUE", ["queue.dead_jobs"]),
        ("id text DEFAULT 'Chunk-A', is_active boolean DEFAULT FALSE", ["queue.dead_jobs"]),
        ("chunk_id text DEFAULT 'Chunk-A'", []),
    ],
)
def test_tables_of_another_shape_than_ours(own_library: Library, columns: str, mistakes: list[str]) -> None:
    execute("DROP TABLE file_chunks CASCADE")
    execute(f"CREATE TABLE file_chunks ({columns})")
    execute("INSERT INTO file_chunks DEFAULT VALUES")
    own_library.send(chunk_id="Chunk-A")

    found = [mistake for mistake in examine(using="default") if mistake.id.startswith("queue")]
    assert [mistake.id for mistake in found] == mistakes
    assert not any("orphans" in mistake.hint for mistake in found)  # which knows our own shape only


def test_a_transaction_that_is_open_for_long(
    library: Library, pgmq_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrity.pipeline.doctor.database.OLDEST_SNAPSHOT", -1)

    with pgmq_database.connect() as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1")
        assert found() == ["database.old_snapshot"]


def test_somebody_elses_database_as_the_original_left_it(postgres_database: Database) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        cursor.execute("CREATE TABLE file_chunks (id uuid PRIMARY KEY, file_id uuid, content text)")
        cursor.execute(
            "CREATE TABLE file_embeddings (id uuid PRIMARY KEY, chunk_id uuid CONSTRAINT file_embeddings_chunk_id_fkey "
            "REFERENCES file_chunks ON DELETE CASCADE, embedding real[])"
        )
    install(using="default")
    queue = Queue(name="embeddings")
    queue.create()
    queue.send({"job_type": "generate_embedding", "chunk_id": str(uuid4())}, delay=timedelta(0))

    assert found() == ["queue.dead_jobs", "queue.index", "tables.cascade", "tables.versions"]


def test_the_command_looks_at_queues_of_any_name(
    postgres_database: Database, call: Callable[..., CommandResult]
) -> None:
    install(using="default")
    for name in ("Their-Jobs", "jobs_2"):
        Queue(name=name).create()
    fetch("SELECT pgmq.create('café'::text)")

    result = call("embedding_queue", "doctor")

    assert (result.code, result.out) == (0, "0 mistakes.\n")


def test_a_database_without_pgmq_is_told_what_to_do(postgres_database: Database) -> None:
    with pytest.raises(PgmqMissing, match="install_pgmq"):
        examine(using="default")
