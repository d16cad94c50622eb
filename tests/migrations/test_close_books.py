"""Reversing our first migration: never while it would make removed rows unreachable."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection

from integrity.demo.data import make_dirty_data
from tests.commands import CommandResult
from tests.databases import Database
from tests.snapshots import snapshot

Call = Callable[..., CommandResult]


def test_the_books_stay_while_anything_is_in_quarantine(database_at: Callable[[str], Database], call: Call) -> None:
    database_at("0001")
    make_dirty_data(using="default")
    call("dedupe_embeddings", "--apply", "--no-input")
    before = snapshot(own_books=True)

    refused = call("migrate", "integrity", "zero")

    assert refused.code == 2
    assert "undo_dedupe" in refused.err
    assert snapshot(own_books=True) == before


def test_after_an_undo_the_books_go_with_all_their_side_tables(
    database_at: Callable[[str], Database], call: Call
) -> None:
    database_at("0001")
    make_dirty_data(using="default")
    call("dedupe_embeddings", "--apply", "--no-input")
    call("undo_dedupe", "1")

    assert call("migrate", "integrity", "zero").code == 0

    assert [name for name in connection.introspection.table_names() if name.startswith("integrity_")] == []
    assert call("migrate", "integrity", "0001").code == 0
    make_dirty_data(using="default")
    assert call("dedupe_embeddings", "--apply", "--no-input").code == 0
