"""Merging in tests of references: whatever is merged is also undone, and must then be as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps

from integrity.dedupe import DedupeRule, RunSummary, undo_run
from tests.databases import Database
from tests.ponies.merging import merge as merge_rule
from tests.snapshots import snapshot

Merge = Callable[..., RunSummary]


@pytest.fixture
def merge(ponies: Database) -> Iterator[Merge]:
    """Merges by ``DedupeRule(**rule)``; after the test every run is undone, byte for byte, and counts what it did."""
    done = []

    def merge(**rule: Any) -> RunSummary:
        before = snapshot()
        run = merge_rule(DedupeRule(**rule))
        done.append((run, before))
        return run

    yield merge
    for run, before in reversed(done):
        promised, undone = (undo_run(run.id, apps=apps, using="default", dry_run=trial) for trial in (True, False))
        assert undone.refused == ()
        counts = (run.removed + run.collisions, run.repointed)
        assert (promised.restored, promised.repointed) == (undone.restored, undone.repointed) == counts
        assert snapshot() == before


@pytest.fixture
def merge_ponies(merge: Merge) -> Callable[[], RunSummary]:
    """Merges the ponies of one name; none may be refused."""

    def merge_ponies() -> RunSummary:
        run = merge(model="ponies.Pony", fields=("name",))
        assert run.refused == ()
        assert run.clean
        return run

    return merge_ponies
