"""Readers are woken after the commit."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import psycopg
import pytest
from django.db import connection, transaction

from integrity.queue import Queue, channel, listen, notify, wait_for_message
from tests.databases import Database

NOW = timedelta(0)
LONG = timedelta(seconds=20)


def test_a_listener_is_woken_after_the_commit_and_not_before(queue: Queue, pgmq_database: Database) -> None:
    with psycopg.connect(pgmq_database.url, autocommit=True) as listener:
        listener.execute(f"LISTEN {channel(queue)}")
        with transaction.atomic():
            notify(queue)
            assert list(listener.notifies(timeout=0, stop_after=1)) == []

        assert [note.channel for note in listener.notifies(timeout=20, stop_after=1)] == ["integrity_letters"]


def test_a_rollback_wakes_nobody(queue: Queue) -> None:
    listen(queue)
    with transaction.atomic():
        notify(queue)
        transaction.set_rollback(True)

    assert not wait_for_message(queue, patience=NOW)


def test_nobody_listens_behind_a_pooler(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("integrity.queue.notify"), "is_direct", lambda _: False)

    listen(queue)

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM pg_listening_channels()")
        assert cursor.fetchall() == []


def test_a_notification_that_came_while_the_reader_was_busy_is_not_lost(queue: Queue, pgmq_database: Database) -> None:
    listen(queue)
    with psycopg.connect(pgmq_database.url, autocommit=True) as sender:
        sender.execute(f"NOTIFY {channel(queue)}")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")

    assert wait_for_message(queue, patience=LONG)
