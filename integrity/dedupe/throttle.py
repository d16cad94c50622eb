"""How hard a run may work: pauses between batches, replicas that must keep up, and the wish to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event

from integrity.backends.replication import get_replicas
from integrity.dedupe.progress import Progress, Report

_BETWEEN_LOOKS = timedelta(seconds=1)


class Stopped(Exception):
    """The run is to stop before its next batch: somebody asked for it."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long a batch may be, and what comes before it. Setting ``stop`` ends the run there, ``interrupted``."""

    batch_time: timedelta = timedelta(milliseconds=100)
    """What the size of a batch adapts to, and how long one of its statements may take before it is taken back."""
    pause: timedelta = timedelta(0)
    """Between two batches."""
    connections: int = 1
    """Batches that are under way at once, each on a connection of its own. Only PostgreSQL has several writers."""
    max_lag: timedelta | None = None
    """No batch begins while any replica has applied less than what was written this long ago."""
    stop: Event = field(default_factory=Event)

    def rest(self) -> None:
        """Pause, or until the run is to stop."""
        self.stop.wait(self.pause.total_seconds())

    def hold(self, *, using: str, still_wanted: Callable[[], bool], report: Report) -> None:
        """Return when the next batch may begin. ``still_wanted`` is asked once a second while replicas lag.

        Raises:
            Stopped: ``stop`` was set, or the run is not wanted any more.
            ReplicasHidden: the role may not see how far the replicas are.
        """
        while self.max_lag is not None and not self.stop.is_set():
            lag = get_replicas(using=using).lag()
            if lag <= self.max_lag:
                break
            report(Progress(step=f"waiting for replicas, {lag.total_seconds():.1f} s behind"))
            self.stop.wait(_BETWEEN_LOOKS.total_seconds())
            if not still_wanted():
                raise Stopped
        if self.stop.is_set():
            raise Stopped
