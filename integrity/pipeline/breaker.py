"""A circuit breaker that all workers share: one row per provider, changed by compare-and-set.

====================  =====================================================  ===========
from                  when                                                   to
====================  =====================================================  ===========
closed                ``THRESHOLD`` failures in a row                        open
closed, half open     a refusal that no retry can change, or Retry-After     open
open                  its time is over: the first worker to ask may probe    half open
half open             the probe succeeds                                     closed
half open             the probe fails                                        open, longer
half open             the probe's lease ends: its worker died                half open, for another
====================  =====================================================  ===========

What is authoritative is the row's ``epoch``, which every change raises: a result that belongs to an older epoch (a
call that began before the breaker opened) changes nothing. All times are the database's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.db import DEFAULT_DB_ALIAS
from django.db.models import DurationField, ExpressionWrapper, F, QuerySet, Value
from django.db.models.functions import Now

from integrity.backends import get_rows
from integrity.backends.sql import SQL
from integrity.exceptions import IntegrityAppError
from integrity.models import CircuitBreaker
from integrity.signals import breaker_changed

State = CircuitBreaker.State

THRESHOLD: Final = 3
FIRST_PAUSE: Final = timedelta(seconds=5)
LONGEST_PAUSE: Final = timedelta(minutes=5)
PROBE_LEASE: Final = timedelta(minutes=2)


class BreakerOpen(IntegrityAppError):
    """The provider is not called; perhaps it did not recover when it was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The permission to call the provider once, given in an epoch. A probe should be small."""

    epoch: int
    probe: bool = False
    failures: int = 0


class _Row(NamedTuple):
    state: str
    epoch: int
    failures: int
    openings: int


_ROW: Final = SQL("SELECT state, epoch, failures, openings FROM integrity_breaker WHERE name = %s")
"""Read before each batch: the ORM would take three times as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """The breaker of one provider."""

    name: str
    using: str = DEFAULT_DB_ALIAS

    def permit(self) -> Permit | None:
        """Return the permission to call, or None while the breaker is open or somebody else probes."""
        row = self._read()
        if row.state == State.CLOSED:
            return Permit(epoch=row.epoch, failures=row.failures)
        taken = self._change(row.epoch, due=True, state=State.HALF_OPEN, until=_from_now(PROBE_LEASE))
        return Permit(epoch=row.epoch + 1, probe=True) if taken else None

    def require_hope(self) -> None:
        """Make sure that waiting makes sense: until the first probe it does, and while one is due or under way.

        Raises:
            BreakerOpen: a probe has failed, and it is not time for the next one.
        """
        self._require_none(openings__gt=1, why="since it failed again when it was tried")

    def require_closed(self) -> None:
        """Make sure that there is nothing to wait for, or that a probe is due or under way.

        Raises:
            BreakerOpen: it is not time for a probe.
        """
        self._require_none(openings__gt=0, why="until it is tried again, since it failed")

    def _require_none(self, *, openings__gt: int, why: str) -> None:
        shut = self._rows().filter(state=State.OPEN, openings__gt=openings__gt, until__gt=Now()).first()
        if shut is not None:
            raise BreakerOpen(
                f"The provider of {self.name} is not called, {why}: {shut.reason} "
                "What waits stays in the queue. Repair the provider, then start the worker again."
            )

    def succeeded(self, permit: Permit) -> None:
        """Close after a probe; forget earlier failures."""
        if permit.probe:
            changed = self._change(permit.epoch, state=State.CLOSED, failures=0, openings=0, until=None, reason="")
            self._announce(changed, State.CLOSED, "")
        elif permit.failures:
            self._rows().filter(epoch=permit.epoch).update(failures=0, openings=0)

    def failed(self, permit: Permit, *, reason: str) -> None:
        """Count a failure; open at the ``THRESHOLD``-th in a row, and after a failed probe."""
        if permit.probe:
            self.trip(permit, reason=reason)
            return
        counted = self._rows().filter(epoch=permit.epoch, state=State.CLOSED).update(failures=F("failures") + 1)
        if counted and self._read().failures >= THRESHOLD:
            self.trip(permit, reason=reason)

    def trip(self, permit: Permit, *, reason: str, pause: timedelta | None = None) -> None:
        """Open now, for ``pause`` or, without one, for longer each time."""
        openings = self._read().openings
        pause = pause or min(FIRST_PAUSE * 2 ** min(openings, 10), LONGEST_PAUSE)
        changed = self._change(
            permit.epoch,
            state=State.OPEN,
            failures=0,
            openings=F("openings") + 1,
            until=_from_now(pause),
            reason=reason[:2000],
        )
        self._announce(changed, State.OPEN, reason)

    def unused(self, permit: Permit) -> None:
        """Give a permission back that was not needed: another worker may probe at once."""
        if permit.probe:
            self._change(permit.epoch, state=State.OPEN, until=Now())

    def _change(self, epoch: int, *, due: bool = False, **values: Any) -> bool:
        rows = self._rows().filter(epoch=epoch)
        if due:
            rows = rows.exclude(state=State.CLOSED).filter(until__lte=Now())
        return bool(rows.update(epoch=F("epoch") + 1, **values))

    def _read(self) -> _Row:
        rows = get_rows(using=self.using)
        found = rows.fetch(_ROW, (self.name,))
        if not found:
            CircuitBreaker.objects.using(self.using).bulk_create(
                [CircuitBreaker(name=self.name)], ignore_conflicts=True
            )
            found = rows.fetch(_ROW, (self.name,))
        return _Row(*found[0])

    def _rows(self) -> QuerySet[CircuitBreaker]:
        return CircuitBreaker.objects.using(self.using).filter(name=self.name)

    def _announce(self, changed: bool, state: str, reason: str) -> None:
        if changed:
            breaker_changed.send(sender=CircuitBreaker, using=self.using, name=self.name, state=state, reason=reason)


def _from_now(period: timedelta) -> Any:
    return ExpressionWrapper(Now() + Value(period, output_field=DurationField()), output_field=Now().output_field)
