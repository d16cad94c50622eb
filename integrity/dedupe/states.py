"""The states of a run, and every move between them."""

from __future__ import annotations

from typing import Any, Final

from django.db import connections, transaction
from django.db.models.functions import Now

from integrity.backends.writing import get_bulk
from integrity.dedupe.advice import command_for
from integrity.dedupe.results import RunSummary
from integrity.exceptions import IntegrityAppError
from integrity.signals import run_state_changed

PLANNED: Final = "planned"
RUNNING: Final = "running"
PAUSED: Final = "paused"
INTERRUPTED: Final = "interrupted"
FAILED: Final = "failed"
FINISHED: Final = "finished"
UNDONE: Final = "undone"
PARTIALLY_UNDONE: Final = "partially undone"

TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    PLANNED: frozenset({RUNNING, PAUSED, INTERRUPTED, FAILED, FINISHED, UNDONE}),
    RUNNING: frozenset({RUNNING, PAUSED, INTERRUPTED, FAILED, FINISHED, PARTIALLY_UNDONE, UNDONE}),
    PAUSED: frozenset({RUNNING, FINISHED, PARTIALLY_UNDONE, UNDONE}),
    INTERRUPTED: frozenset({RUNNING, FINISHED, PARTIALLY_UNDONE, UNDONE}),
    FAILED: frozenset({RUNNING, FINISHED, PARTIALLY_UNDONE, UNDONE}),
    FINISHED: frozenset({PARTIALLY_UNDONE, UNDONE}),
    PARTIALLY_UNDONE: frozenset({PARTIALLY_UNDONE, UNDONE}),
    UNDONE: frozenset(),
}
"""From each state to which others.

A run is ``planned`` until the tables for what it removes are ready. One whose process was killed stays ``running``
and may be resumed. ``paused``, and ``finished`` where it was not through, are what people asked for: the process at
work sees it before its next batch.
"""

RESUMABLE: Final = tuple(state for state, after in TRANSITIONS.items() if RUNNING in after)
UNDOABLE: Final = tuple(state for state, after in TRANSITIONS.items() if UNDONE in after)


class WrongState(IntegrityAppError):
    """The run is in a state from which this cannot be done."""


def move_to(run: Any, state: str, *, using: str, **fields: Any) -> None:
    """Bring a run (its book's row) to another state, store it with these fields, and announce it.

    One statement decides by the state that is in the database, not by the one that ``run`` remembers; it waits for a
    batch that holds the row, whatever the connection's isolation. The announcement is part of the transaction: a
    receiver that fails keeps the old state.

    Raises:
        WrongState: there is no such transition.
    """
    sources = [source for source, after in TRANSITIONS.items() if state in after]
    rows = type(run)._base_manager.using(using).filter(pk=run.pk)
    outermost = not connections[using].in_atomic_block
    with transaction.atomic(using=using):
        if outermost:
            get_bulk(using=using).see_what_is_committed()
        moved = rows.filter(state__in=sources).update(state=state, updated_at=Now(), **fields)
        run.refresh_from_db(using=using)
        if not moved:
            raise WrongState(
                f"Run {run.pk} is {run.state}; it cannot become {state}. Possible now: {_possible(run, using=using)}"
            )
        run_state_changed.send(sender=RunSummary, using=using, run=run.pk, state=state)


def _possible(run: Any, *, using: str) -> str:
    after = TRANSITIONS[run.state]
    ways = ((RUNNING, f"dedupe --resume {run.pk}"), (UNDONE, f"undo_dedupe {run.pk}"))
    commands = [command_for(words, using=using) for state, words in ways if state in after]
    return " or ".join(commands) or "a new plan and run."
