"""The states of a run, and every move between them."""

from __future__ import annotations

from typing import Any, Final

from django.db.models.functions import Now

from integrity.dedupe.results import RunSummary
from integrity.exceptions import IntegrityAppError
from integrity.signals import run_state_changed

RUNNING: Final = "running"
INTERRUPTED: Final = "interrupted"
FAILED: Final = "failed"
FINISHED: Final = "finished"
UNDONE: Final = "undone"
PARTIALLY_UNDONE: Final = "partially undone"

TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    RUNNING: frozenset({RUNNING, INTERRUPTED, FAILED, FINISHED, PARTIALLY_UNDONE, UNDONE}),
    INTERRUPTED: frozenset({RUNNING, PARTIALLY_UNDONE, UNDONE}),
    FAILED: frozenset({RUNNING, PARTIALLY_UNDONE, UNDONE}),
    FINISHED: frozenset({PARTIALLY_UNDONE, UNDONE}),
    PARTIALLY_UNDONE: frozenset({PARTIALLY_UNDONE, UNDONE}),
    UNDONE: frozenset(),
}
"""From each state to which others. A run whose process was killed stays ``running`` and may be resumed."""

RESUMABLE: Final = (RUNNING, INTERRUPTED, FAILED)
UNDOABLE: Final = tuple(state for state, after in TRANSITIONS.items() if UNDONE in after)


class WrongState(IntegrityAppError):
    """The run is in a state from which this cannot be done."""


def move_to(run: Any, state: str, *, using: str, **fields: Any) -> None:
    """Bring a run (its book's row) to another state and store it with these fields.

    Raises:
        WrongState: there is no such transition.
    """
    if state not in TRANSITIONS[run.state]:
        raise WrongState(f"Run {run.pk} is {run.state}; it cannot become {state}.")
    run.state = state
    for name, value in fields.items():
        setattr(run, name, value)
    run.updated_at = Now()
    run.save(using=using, update_fields=["state", "updated_at", *fields])
    run_state_changed.send(sender=RunSummary, using=using, run=run.pk, state=state)
