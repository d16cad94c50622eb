"""PGMQ comes into a database once, whoever asks and however often."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import psycopg
import pytest
from django.db import connection, connections

from integrity.backends import UnsupportedDatabase, get_catalogue
from integrity.backends.postgresql.session import LockNotFree
from integrity.pipeline import job_queue
from integrity.queue import (
    InstallationRefused,
    KeyedQueue,
    LeasedQueue,
    Queue,
    find_installation,
    install,
    shipped_version,
)
from integrity.queue.install import PgmqMissing, require_installation
from integrity.queue.names import table_of
from tests.commands import CommandResult
from tests.databases import Database


def test_nothing_is_there_and_the_shipped_sql_is_installed(postgres_database: Database) -> None:
    assert find_installation(using="default") is None

    done = install(using="default")

    assert (done.created, done.extension, done.version) == (True, False, shipped_version())
    assert find_installation(using="default") == type(done)(version=shipped_version(), extension=False)


def test_installing_again_does_nothing(postgres_database: Database) -> None:
    install(using="default")

    assert install(using="default").created is False


def test_of_many_who_install_at_once_one_does(postgres_database: Database) -> None:
    barrier, results = threading.Barrier(4), []

    def run() -> None:
        barrier.wait()
        results.append(install(using="default").created)
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == [False, False, False, True]


def test_the_command_says_what_it_did(postgres_database: Database, call: Callable[..., CommandResult]) -> None:
    first, again = call("install_pgmq"), call("install_pgmq", "--queue", "others")

    assert (first.code, first.out) == (0, f"Installed PGMQ {shipped_version()} (SQL). Queue: embeddings.\n")
    assert (again.code, again.out) == (0, f"Found PGMQ {shipped_version()} (SQL). Queue: others.\n")
    assert Queue(name="others").exists()


@pytest.mark.parametrize("name", ["", "x" * 48, "a'b", "a;b", "a$b", "a--b", 'a"b', "ä", "a%b"])
def test_a_name_that_pgmq_cannot_take_is_refused_in_one_line(
    postgres_database: Database, call: Callable[..., CommandResult], name: str
) -> None:
    result = call("install_pgmq", f"--queue={name}")

    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert find_installation(using="default") is None


def test_a_queue_that_is_a_view_is_refused_in_one_line(
    postgres_database: Database, call: Callable[..., CommandResult]
) -> None:
    install(using="default")
    Queue(name="seen").create()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE pgmq.q_seen RENAME TO seen")
        cursor.execute("CREATE VIEW pgmq.q_seen AS SELECT * FROM pgmq.seen")

    result = call("install_pgmq", "--queue=seen")

    assert (result.code, len(result.err.splitlines())) == (2, 1)


@pytest.mark.parametrize("name", ["Mixed_Case", "has space", "select", "x" * 47, "0", "a{b}"])
def test_odd_names_that_pgmq_takes_work(queue: Queue, name: str) -> None:
    odd = KeyedQueue(name=name, key=("a", "b"))

    odd.create()

    assert odd.exists()
    assert odd.send({"a": 1}) == 1
    assert odd.archive([1]) == [1]
    assert odd.send({"a": 2, "b": 3}) == 2
    assert odd.cancel("2", outcome="cancelled") == 1


def test_sqlite_is_refused_in_one_line(sqlite_database: Database, call: Callable[..., CommandResult]) -> None:
    result = call("install_pgmq")

    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert "needs PostgreSQL" in result.err
    with pytest.raises(UnsupportedDatabase):
        find_installation(using="default")


def test_a_version_without_headers_is_refused_with_a_hint(postgres_database: Database) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA pgmq; CREATE TABLE pgmq.meta (queue_name text)")
        cursor.execute("CREATE TYPE pgmq.message_record AS (msg_id bigint, message jsonb)")

    with pytest.raises(InstallationRefused, match=r"1\.5 or newer is needed"):
        install(using="default")


def test_a_recorded_old_version_is_refused(postgres_database: Database) -> None:
    install(using="default")
    with connection.cursor() as cursor:
        cursor.execute("COMMENT ON SCHEMA pgmq IS 'PGMQ 1.4.4, installed by hand'")

    with pytest.raises(InstallationRefused, match=r"1\.4\.4"):
        require_installation(using="default")


def test_what_somebody_else_installed_without_a_record_is_used(postgres_database: Database) -> None:
    install(using="default")
    with connection.cursor() as cursor:
        cursor.execute("COMMENT ON SCHEMA pgmq IS NULL")

    assert install(using="default").version == ""


def test_a_database_without_pgmq_is_told_what_to_do(postgres_database: Database) -> None:
    with pytest.raises(PgmqMissing, match="install_pgmq"):
        require_installation(using="default")


@pytest.fixture
def role(postgres_database: Database) -> Iterator[str]:
    """A role without any privilege of its own, which the test may take on."""
    name = f"pgmq_owner_{os.getpid()}"
    postgres_database.execute(f"CREATE ROLE {name} NOSUPERUSER")
    yield name
    connection.close()
    postgres_database.execute(f"DROP OWNED BY {name} CASCADE")
    postgres_database.execute(f"DROP ROLE {name}")


def become(role: str) -> None:
    """Let Django's connection work as the role."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {role}")


def test_no_superuser_is_needed_but_the_right_to_create_is(postgres_database: Database, role: str) -> None:
    become(role)
    with pytest.raises(InstallationRefused, match="GRANT CREATE"):
        install(using="default")

    postgres_database.execute(f'GRANT CREATE ON DATABASE "{connection.settings_dict["NAME"]}" TO {role}')

    assert install(using="default").created
    Queue(name="mine").create()


def test_a_schema_of_ones_own_is_enough(postgres_database: Database, role: str) -> None:
    become(role)
    postgres_database.execute("CREATE SCHEMA pgmq")
    with pytest.raises(InstallationRefused, match="ALTER SCHEMA pgmq OWNER"):
        install(using="default")

    postgres_database.execute(f"ALTER SCHEMA pgmq OWNER TO {role}")

    assert install(using="default").created
    Queue(name="mine").create()


def test_a_part_of_another_installation_is_refused(postgres_database: Database) -> None:
    postgres_database.execute("CREATE SCHEMA pgmq")
    postgres_database.execute("CREATE FUNCTION pgmq.validate_queue_name(queue_name text) RETURNS void RETURN NULL")

    with pytest.raises(InstallationRefused, match=r"a part of PGMQ already: .*DROP SCHEMA pgmq CASCADE"):
        install(using="default")

    assert find_installation(using="default") is None


def test_the_package_that_ships_the_sql_is_asked_for(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pgmq", None)

    with pytest.raises(PgmqMissing, match="pip install pgmq"):
        install(using="default")


def test_waiting_duplicates_are_named_and_nothing_is_half_done(keyed: KeyedQueue, pgmq_database: Database) -> None:
    plain = Queue(name="twice")
    plain.create()
    plain.send_batch([{"thing": 1, "model": "m"}] * 2)
    twice = KeyedQueue(name="twice", key=("thing", "model"))

    with pytest.raises(InstallationRefused, match="same thing, model"):
        twice.create()

    with psycopg.connect(pgmq_database.url) as other:
        found = other.execute("SELECT indexname FROM pg_indexes WHERE indexname = ANY(%s)", [[twice.index]])
        assert found.fetchall() == []


def test_a_waiting_message_whose_key_is_too_long_is_named_and_how_to_find_it(queue: LeasedQueue) -> None:
    too_long = queue.send({"thing": "".join(sha256(bytes([n])).hexdigest() for n in range(200))})
    queue.send({"thing": "short"})
    keyed = KeyedQueue(name=queue.name, key=("thing", "model"))

    with pytest.raises(InstallationRefused, match="thing, model are too long for an index") as refused:
        keyed.create()
    with connection.cursor() as cursor:
        where = str(refused.value).partition("the first of ")[2].partition(". Let")[0].replace(" by ", " ")
        cursor.execute(f"SELECT msg_id FROM {where} LIMIT 1")
        assert cursor.fetchone() == (too_long,)
    queue.purge_queue()  # an archived row would be indexed for as long as any transaction may see it

    keyed.create()


@pytest.mark.parametrize("kind", ["create", "create_unlogged"])
def test_a_queue_that_outlived_its_pgmq_is_listed_again_and_its_senders_do_not_wait(
    pgmq_database: Database, call: Callable[..., CommandResult], kind: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pgmq.{kind}('embeddings')")
        job_queue().create()
        cursor.execute("DELETE FROM pgmq.meta RETURNING queue_name, is_partitioned, is_unlogged")
        listed = cursor.fetchall()
    with pgmq_database.connect() as other, connection.cursor() as cursor:
        other.execute("SELECT pgmq.send('embeddings'::text, '{}'::jsonb)")
        cursor.execute("SET lock_timeout = '1ms'")

        assert call("install_pgmq", "--queue", "Embeddings").code == 0

    with connection.cursor() as cursor:
        cursor.execute("SELECT lower(queue_name), is_partitioned, is_unlogged FROM pgmq.meta")
        assert cursor.fetchall() == listed


def test_installing_again_waits_for_no_transaction_that_has_sent(
    keyed: KeyedQueue, pgmq_database: Database, call: Callable[..., CommandResult]
) -> None:
    job_queue().create()
    with pgmq_database.connect() as other, connection.cursor() as cursor:
        other.execute("SELECT pgmq.send('embeddings'::text, '{}'::jsonb), pgmq.send('keyed'::text, '{}'::jsonb)")
        cursor.execute("SET lock_timeout = '1ms'")

        assert call("install_pgmq").code == 0
        keyed.create()


def test_a_key_for_a_queue_that_is_in_use_does_not_make_its_senders_wait(
    queue: LeasedQueue, pgmq_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrity.backends.postgresql.session._TRIES", 2)
    with pgmq_database.connect() as other:
        other.execute("SELECT pgmq.send('letters'::text, '{}'::jsonb)")

        with pytest.raises(LockNotFree, match=r"pgmq\.send"):
            KeyedQueue(name=queue.name, key=("thing",)).create()


def test_of_many_who_give_a_queue_its_key_at_once_one_does(queue: LeasedQueue) -> None:
    barrier, keyed = threading.Barrier(4), KeyedQueue(name=queue.name, key=("thing",))

    def run(_: int) -> bool:
        barrier.wait()
        try:
            keyed.create()
            return keyed.is_keyed()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(run, range(4))] == [True] * 4


@pytest.mark.parametrize(
    "columns", ["(msg_id)", "((message->>'thing'))", "((message->>'thing')) WHERE vt > '2020-01-01'"]
)
def test_an_index_of_the_name_that_is_no_key_is_refused(queue: LeasedQueue, columns: str) -> None:
    keyed = KeyedQueue(name=queue.name, key=("thing",))
    with connection.cursor() as cursor:
        unique = "UNIQUE" if "WHERE" in columns else ""
        cursor.execute(f"CREATE {unique} INDEX {keyed.index} ON pgmq.q_letters {columns}")

    with pytest.raises(InstallationRefused, match=r'DROP INDEX pgmq\."q_letters_key"'):
        keyed.create()


def test_a_key_under_another_name_counts(queue: LeasedQueue) -> None:
    keyed = KeyedQueue(name=queue.name, key=("owner", "thing"))
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX theirs ON pgmq.q_letters ((message->>'owner'), (message->>'thing'))")

    keyed.create()

    assert [index.name for index in get_catalogue(using="default").indexes(table_of(keyed.name)) if index.keys[1:]] == [
        "theirs"
    ]
