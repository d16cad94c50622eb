"""``manage.py demo`` tells the whole main job, and only on a database of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integrity.models import DedupeRun, Embedding
from tests.commands import CommandResult
from tests.databases import Database
from tests.management.demos import demo_database
from tests.snapshots import snapshot


@pytest.fixture
def renamed(postgres_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this test's database pass for the demo's own."""
    demo_database(postgres_database, monkeypatch)


@pytest.mark.usefixtures("renamed")
def test_the_demo_ends_with_a_clean_constrained_table_and_says_where_to_look(
    call: Callable[..., CommandResult],
) -> None:
    told = call("demo")

    assert told.code == 0, told.err
    assert Embedding.objects.count() == 301
    assert [run.state for run in DedupeRun.objects.order_by("pk")] == ["undone", "finished"]
    for words in ("HAVING COUNT(*) > 1", "Nothing was changed", "is in place", "password:", "/admin/"):
        assert words in " ".join(told.out.split())
    assert 'violates unique constraint "unique_invocation_embedding_model"' in " ".join(told.out.split())


@pytest.mark.slow
@pytest.mark.usefixtures("renamed")
def test_the_demo_can_be_told_twice(call: Callable[..., CommandResult]) -> None:
    call("demo")

    assert call("demo").code == 0


def test_the_demo_leaves_any_other_database_alone(database: Database, call: Callable[..., CommandResult]) -> None:
    before = snapshot(own_books=True)

    refused = call("demo")

    assert refused.code == 2
    assert "make demo" in refused.err
    assert snapshot(own_books=True) == before
