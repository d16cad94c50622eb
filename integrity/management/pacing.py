"""How hard a run works, as options of the commands that apply plans."""

from __future__ import annotations

from datetime import timedelta
from threading import Event
from typing import Any

from django.core.management.base import CommandParser

from integrity.dedupe import Pace
from integrity.management.values import milliseconds, positive, seconds, up_to


def add_pacing(parser: CommandParser) -> None:
    """Add the options."""
    add = parser.add_argument_group("how hard to work").add_argument
    add("--batch-size", type=positive, metavar="N", help="Groups in a transaction. Default: as many as take 100 ms.")
    add(
        "--connections",
        type=up_to(32),
        default=1,
        metavar="N",
        help="Batches under way at once, each on a connection of its own (PostgreSQL). Default: 1.",
    )
    add("--pause-between", type=milliseconds, default=timedelta(0), metavar="MS", help="Rest between two batches.")
    add(
        "--max-lag", type=seconds, metavar="SECONDS", help="Begin no batch while a replica is further behind than this."
    )
    add(
        "--no-verify",
        action="store_true",
        help="Do not search the table again at the end: a unique constraint that is added next proves as much.",
    )


def paced(options: dict[str, Any], *, stop: Event) -> dict[str, Any]:
    """What these options say, as ``apply_plan`` and ``resume_run`` take it."""
    pace = Pace(
        connections=options["connections"], pause=options["pause_between"], max_lag=options["max_lag"], stop=stop
    )
    return {"batch_size": options["batch_size"], "verify": not options["no_verify"], "pace": pace}
