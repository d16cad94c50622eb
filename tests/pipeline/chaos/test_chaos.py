"""Chaos for some seconds; ``make chaos`` runs it for longer."""

from __future__ import annotations

import pytest
from pytest_django import DjangoDbBlocker

from tests.pipeline.chaos.harness import run_chaos

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def test_the_invariants_hold_whatever_breaks(django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        outcome = run_chaos(seed=6, seconds=20)

    assert outcome.violations == {}, str(outcome)
    assert min(outcome.counts[what] for what in ("kills", "crashes", "purges", "uploads", "searches")) > 0


def test_the_same_chaos_finds_what_is_wrong_with_the_original_handler(django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        outcome = run_chaos(seed=6, seconds=8, naive=True)

    assert {"I1 foreign key violations", "I5 jobs left"} <= outcome.violations.keys(), str(outcome)
