"""One breaker for all workers, on both databases; every line of its table of transitions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from integrity.models import CircuitBreaker
from integrity.pipeline.breaker import THRESHOLD, Breaker, BreakerOpen, Permit
from tests.databases import Database


@pytest.fixture
def breaker(database: Database) -> Breaker:
    """A breaker that nobody has used."""
    return Breaker(name="somebody")


def taken(breaker: Breaker) -> Permit:
    """Take a permission, which must be given."""
    permit = breaker.permit()
    assert permit is not None
    return permit


def opened(breaker: Breaker) -> Breaker:
    """Open it, and let its time pass."""
    breaker.trip(taken(breaker), reason="down")
    let_time_pass()
    return breaker


def let_time_pass() -> None:
    """Make whatever was to end later end now."""
    CircuitBreaker.objects.update(until=Now())


def test_a_new_breaker_lets_everybody_through(breaker: Breaker) -> None:
    assert not taken(breaker).probe
    assert not taken(breaker).probe


def test_it_opens_at_the_third_failure_in_a_row(breaker: Breaker) -> None:
    for _ in range(THRESHOLD - 1):
        breaker.failed(taken(breaker), reason="down")
    assert breaker.permit() is not None

    breaker.failed(taken(breaker), reason="down")

    assert breaker.permit() is None


def test_a_success_between_failures_starts_the_count_again(breaker: Breaker) -> None:
    for _ in range(3 * THRESHOLD):
        breaker.failed(taken(breaker), reason="down")
        breaker.succeeded(taken(breaker))

    assert breaker.permit() is not None


def test_once_its_time_is_over_one_worker_probes_and_the_others_wait(breaker: Breaker) -> None:
    opened(breaker)

    assert taken(breaker).probe
    assert breaker.permit() is None


def test_a_probe_that_succeeds_closes_it(breaker: Breaker) -> None:
    breaker = opened(breaker)

    breaker.succeeded(taken(breaker))

    assert not taken(breaker).probe


def test_a_probe_that_fails_opens_it_for_longer(breaker: Breaker) -> None:
    breaker = opened(breaker)

    breaker.failed(taken(breaker), reason="still down")

    assert breaker.permit() is None
    row = CircuitBreaker.objects.get()
    assert (row.openings, row.reason) == (2, "still down")


def test_a_probe_whose_worker_died_is_taken_over(breaker: Breaker) -> None:
    breaker = opened(breaker)
    dead = taken(breaker)
    let_time_pass()

    living = taken(breaker)
    breaker.succeeded(dead)

    assert breaker.permit() is None
    breaker.succeeded(living)
    assert breaker.permit() is not None


def test_a_probe_that_was_not_needed_is_given_back(breaker: Breaker) -> None:
    breaker = opened(breaker)

    breaker.unused(taken(breaker))

    assert taken(breaker).probe


def test_a_call_that_began_before_it_opened_neither_closes_nor_counts(breaker: Breaker) -> None:
    early = taken(breaker)
    breaker.trip(taken(breaker), reason="down")

    breaker.succeeded(early)
    breaker.failed(early, reason="late news")
    breaker.trip(early, reason="late news", pause=timedelta(days=1))

    row = CircuitBreaker.objects.get()
    assert (row.state, row.openings, row.reason) == ("open", 1, "down")


def test_it_stays_open_as_long_as_the_provider_asked(breaker: Breaker) -> None:
    breaker.trip(taken(breaker), reason="slow down", pause=timedelta(hours=1))

    assert CircuitBreaker.objects.filter(until__gt=Now() + timedelta(minutes=59)).exists()


def test_waiting_makes_sense_until_a_probe_has_failed_and_again_when_the_next_is_due(breaker: Breaker) -> None:
    breaker.require_hope()
    breaker.trip(taken(breaker), reason="down")
    breaker.require_hope()
    let_time_pass()
    probe = taken(breaker)
    breaker.require_hope()

    breaker.failed(probe, reason="still down")

    with pytest.raises(BreakerOpen, match="still down"):
        breaker.require_hope()
    let_time_pass()
    breaker.require_hope()


def test_breakers_of_different_providers_do_not_know_each_other(breaker: Breaker) -> None:
    opened(breaker)

    assert not taken(Breaker(name="somebody else")).probe
