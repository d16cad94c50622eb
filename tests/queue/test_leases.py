"""A message is changed by its last reader, and by nobody else."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection

from integrity.backends.sql import SQL
from integrity.queue import KeyedQueue, LeasedQueue, Message, Return
from tests.databases import Database

MINUTE = timedelta(minutes=1)
NOW = timedelta(0)


def read_again(queue: LeasedQueue) -> Message:
    """Let the lease end, and read as another worker would."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {queue.table} SET vt = clock_timestamp()")
    return queue.read(vt=MINUTE, qty=1)[0]


def test_the_last_reader_archives_with_an_outcome(queue: LeasedQueue) -> None:
    queue.send({"a": 1}, headers={"attempts": 2})
    (message,) = queue.read(vt=MINUTE, qty=1)

    assert queue.archive_leased([message.lease], outcome="done") == [1]

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT headers->>'outcome', headers->>'attempts' FROM {queue.archived}")
        assert cursor.fetchall() == [("done", "2")]


def test_an_earlier_reader_can_neither_archive_nor_extend_nor_give_back(queue: LeasedQueue) -> None:
    queue.send({})
    (early,) = queue.read(vt=MINUTE, qty=1)
    late = read_again(queue)

    assert queue.archive_leased([early.lease], outcome="done") == []
    assert queue.extend([early.lease], vt=MINUTE) == 0
    assert queue.give_back([Return(lease=early.lease, delay=NOW, headers={})]) == 0
    assert queue.archive_leased([late.lease], outcome="done") == [1]


def test_pgmq_alone_lets_an_earlier_reader_archive(queue: LeasedQueue) -> None:
    """Why there are leases: without one, the first reader ends what the second works on."""
    queue.send({})
    (early,) = queue.read(vt=MINUTE, qty=1)
    read_again(queue)

    assert queue.archive([early.msg_id]) == [1]


def test_an_extended_lease_holds_longer_and_never_shorter(queue: LeasedQueue) -> None:
    queue.send({})
    (message,) = queue.read(vt=MINUTE, qty=1)

    assert queue.extend([message.lease], vt=10 * MINUTE) == 1
    assert queue.extend([message.lease], vt=NOW) == 1

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT vt > clock_timestamp() + interval '9 minutes' FROM {queue.table}")
        assert cursor.fetchone() == (True,)


def test_a_message_given_back_is_readable_at_once_and_remembers(queue: LeasedQueue) -> None:
    queue.send({})
    (message,) = queue.read(vt=MINUTE, qty=1)

    assert queue.give_back([Return(lease=message.lease, delay=NOW, headers={"attempts": 1})]) == 1

    (again,) = queue.read(vt=MINUTE, qty=1)
    assert (again.count("attempts"), again.count("snoozes"), again.read_ct) == (1, 0, 2)


def test_extending_passes_over_what_somebody_is_archiving(queue: LeasedQueue, pgmq_database: Database) -> None:
    queue.send_batch([{}, {}])
    messages = queue.read(vt=MINUTE, qty=2)
    with pgmq_database.connect() as other:
        other.execute(f"SELECT 1 FROM {queue.table} WHERE msg_id = 1 FOR UPDATE")

        assert queue.extend([message.lease for message in messages], vt=MINUTE) == 1


def test_what_has_the_key_of_a_waiting_message_is_not_sent_again(keyed: KeyedQueue) -> None:
    wanted = SQL("""SELECT jsonb_build_object('thing', n, 'model', 'm', 'owner', 'o') AS message
                    FROM generate_series(1, 3) AS n""")

    assert (len(keyed.send_missing(wanted)), keyed.send_missing(wanted)) == (3, [])
    keyed.archive([1])
    assert len(keyed.send_missing(wanted)) == 1


def test_messages_without_a_key_are_never_duplicates(keyed: KeyedQueue) -> None:
    assert len(keyed.send_batch([{"thing": 1}, {"thing": 1}, [], 7])) == 4


def test_a_group_is_cancelled_whoever_holds_its_messages(keyed: KeyedQueue) -> None:
    keyed.send_batch([{"owner": "a"}, {"owner": "b"}, {"owner": "a"}])
    held = keyed.read(vt=MINUTE, qty=1)

    assert keyed.cancel("a", outcome="cancelled") == 2

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT message ->> 'owner' FROM {keyed.table}")
        assert cursor.fetchall() == [("b",)]
    assert keyed.archive_leased([held[0].lease], outcome="done") == []
