"""PGMQ's functions, called so that none of them is ambiguous."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta

import asyncpg
import psycopg
import pytest
from django.db import ProgrammingError, connection, connections, transaction

from integrity.backends.sql import compose
from integrity.queue import LeasedQueue, PgmqMissing, Queue, QueueMissing, Return, UnsendableMessage
from integrity.queue.install import require_installation
from tests.databases import Database

MINUTE = timedelta(minutes=1)
NOW = timedelta(0)


def test_a_message_is_sent_read_and_archived(queue: LeasedQueue) -> None:
    msg_id = queue.send({"text": "ü € \U0001f600", "number": 1.5, "none": None}, headers={"from": "here"})

    (message,) = queue.read(vt=MINUTE, qty=10)

    assert (message.msg_id, message.read_ct, message.headers) == (msg_id, 1, {"from": "here"})
    assert message.body == {"text": "ü € \U0001f600", "number": 1.5, "none": None}
    assert queue.read(vt=MINUTE, qty=10) == []
    assert (queue.archive([msg_id]), queue.archive([msg_id])) == ([msg_id], [])
    assert queue.is_empty()


def test_each_function_that_takes_one_or_many_can_be_called(queue: LeasedQueue) -> None:
    ids = queue.send_batch([{"n": n} for n in range(3)], headers=[{}] * 3)

    assert queue.set_vt(ids[0], vt=MINUTE)
    assert not queue.set_vt(999, vt=MINUTE)
    assert [message.msg_id for message in queue.read(vt=MINUTE, qty=10)] == ids[1:]
    assert queue.delete([ids[0], 999]) == [ids[0]]
    assert queue.purge_queue() == 2


def test_a_batch_of_none_is_no_batch(queue: LeasedQueue) -> None:
    assert queue.send_batch([]) == []
    assert queue.archive([]) == queue.delete([]) == []


def test_a_delayed_message_is_not_read_before_its_time(queue: LeasedQueue) -> None:
    queue.send({}, delay=MINUTE)

    assert queue.read(vt=MINUTE, qty=1) == []
    assert not queue.is_empty()


def test_a_message_is_sent_with_the_transaction_or_not_at_all(queue: LeasedQueue) -> None:
    with transaction.atomic():
        queue.send({})
        transaction.set_rollback(True)

    assert queue.is_empty()


def test_a_larger_message_than_wanted_is_read_without_its_body(queue: LeasedQueue) -> None:
    queue.send({"content": "x" * 10_000})

    (message,) = queue.read(vt=MINUTE, qty=1, largest=1000)

    assert message.body is None
    assert message.size > 10_000


@pytest.mark.parametrize("body", [1, "text", [1, 2], None, True, {}])
def test_whatever_json_is_sent_is_read(queue: LeasedQueue, body: object) -> None:
    queue.send(body)

    assert queue.read(vt=MINUTE, qty=1)[0].body == body


def nested(levels: int) -> object:
    """Return a list in a list in a list."""
    body: object = 0
    for _ in range(levels):
        body = [body]
    return body


@pytest.mark.parametrize(
    "body",
    [
        {"a": math.nan},
        {"a": math.inf},
        {"a": object()},
        {"a": "b\x00c"},
        {"\x00": 1},
        {"a": ["\ud800"]},
        {"\udfff": 1},
        {"a": 10**6000},
        pytest.param(nested(100_000), id="nested"),
    ],
)
def test_what_postgresql_cannot_store_is_refused_before_it_is_sent(queue: LeasedQueue, body: object) -> None:
    with pytest.raises(UnsendableMessage):
        queue.send(body)


@pytest.mark.parametrize("text", [r"\u0000", r"\ud800", "\U0001f40b"])
def test_text_that_only_looks_like_what_cannot_be_stored_is_sent(queue: LeasedQueue, text: str) -> None:
    queue.send({"a": text})

    assert queue.read(vt=MINUTE, qty=1)[0].body == {"a": text}


@pytest.mark.parametrize(
    "body", ["[" * 2000 + "]" * 2000, "[" * 900 + "]" * 900, "9" * 6000, '{"a": ' + "9" * 6000 + "}"]
)
def test_what_postgresql_stores_and_python_cannot_read_arrives_with_its_fault(queue: LeasedQueue, body: str) -> None:
    queue.rows.execute(
        compose("INSERT INTO {table} (vt, message) VALUES (clock_timestamp(), %s::jsonb)", table=queue.table), (body,)
    )

    (message,) = queue.read(vt=MINUTE, qty=1)

    assert (message.body, bool(message.fault)) == (None, True)


@pytest.mark.parametrize("headers", ["[1]", '"text"', "null", None, "[" * 2000 + "]" * 2000, '{"attempts": 1e300}'])
def test_headers_of_any_shape_are_read_and_end_with_an_outcome(queue: LeasedQueue, headers: str | None) -> None:
    queue.send({})
    queue.rows.execute(compose("UPDATE {table} SET headers = %s::jsonb", table=queue.table), (headers,))

    (message,) = queue.read(vt=MINUTE, qty=1)
    queue.give_back([Return(lease=message.lease, delay=NOW, headers={"snoozes": 1})])
    (again,) = queue.read(vt=MINUTE, qty=1)
    queue.archive_leased([again.lease], outcome="done")

    assert (message.count("attempts"), again.count("snoozes")) == (0, 1)
    assert queue.rows.value(compose("SELECT headers->>'outcome' FROM {table}", table=queue.archived)) == "done"


def test_a_queue_that_is_not_there_says_so(queue: LeasedQueue) -> None:
    with pytest.raises(QueueMissing, match="install_pgmq --queue nowhere"):
        Queue(name="nowhere").require()


def test_what_to_run_names_the_database_where_it_is_not_the_usual_one(postgres_database: Database) -> None:
    connections.databases["other"] = connections.databases["default"]
    try:
        with pytest.raises(PgmqMissing, match=r"Run: manage.py install_pgmq --database other\."):
            require_installation(using="other")
        with pytest.raises(QueueMissing, match=r"Run: manage.py install_pgmq --queue nowhere --database other\."):
            Queue(name="nowhere", using="other").require()
    finally:
        connections["other"].close()
        del connections["other"], connections.databases["other"]


def test_a_dropped_queue_is_gone(queue: LeasedQueue) -> None:
    assert queue.drop()
    assert not queue.exists()


def test_the_original_call_is_ambiguous_and_the_cast_one_is_not(queue: LeasedQueue) -> None:
    """The "type casting error": an untyped parameter fits both overloads."""
    queue.send({})

    with (
        pytest.raises(ProgrammingError, match="is not unique"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pgmq.archive('letters', %s)", ["1"])
    assert queue.archive([1]) == [1]


def test_the_documented_sql_works_for_psycopg_with_parameters_apart(
    queue: LeasedQueue, pgmq_database: Database
) -> None:
    with psycopg.connect(pgmq_database.url) as plain:
        for statement, params in DOCUMENTED:
            plain.execute(statement.replace("$1", "%s").replace("$2", "%s").replace("$3", "%s"), params)


def test_the_documented_sql_works_for_asyncpg(queue: LeasedQueue, pgmq_database: Database) -> None:
    async def run() -> None:
        plain = await asyncpg.connect(pgmq_database.url)
        try:
            for statement, params in DOCUMENTED:
                await plain.execute(statement, *params)
            # asyncpg asks the server for the parameters' types: without a cast there is no answer.
            with pytest.raises(asyncpg.AmbiguousFunctionError):
                await plain.execute("SELECT pgmq.archive('letters', $1)", 1)
        finally:
            await plain.close()

    asyncio.run(run())


DOCUMENTED = [
    ("SELECT * FROM pgmq.send_batch($1::text, $2::jsonb[])", ("letters", ['{"a": 1}', '{"a": 2}', '{"a": 3}'])),
    ("SELECT * FROM pgmq.send($1::text, $2::jsonb, $3::integer)", ("letters", '{"a": 4}', 0)),
    ("SELECT * FROM pgmq.read($1::text, $2::integer, $3::integer)", ("letters", 60, 2)),
    ("SELECT * FROM pgmq.set_vt($1::text, $2::bigint, $3::integer)", ("letters", 1, 30)),
    ("SELECT pgmq.archive($1::text, $2::bigint)", ("letters", 1)),
    ("SELECT * FROM pgmq.archive($1::text, $2::bigint[])", ("letters", [2])),
    ("SELECT pgmq.delete($1::text, $2::bigint)", ("letters", 3)),
    ("SELECT * FROM pgmq.delete($1::text, $2::bigint[])", ("letters", [4])),
]
"""What docs/howto/operate-the-queue.md gives to callers without this app."""
