"""Ways of showing progress: what the engine reports, on whatever the user looks at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from integrity.dedupe.progress import Progress, Report
from integrity.dedupe.progress import silent as nothing

__all__ = ["bar", "lines", "nothing"]

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def bar(console: Console) -> Iterator[Report]:
    """Show a bar while the block runs; it is gone afterwards."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=None)
        step = ""

        def report(progress: Progress, /) -> None:
            nonlocal step
            total = progress.total or None  # without one, the bar pulses
            if progress.step != step:
                step = progress.step
                shown.reset(task, description=step, total=total)
            shown.update(task, completed=progress.done, total=total)

        yield report


def lines(write: Callable[[str], object], *, clock: Callable[[], float] = time.monotonic) -> Report:
    """Write a line every few seconds, the first one after as long: a quick command says nothing."""
    last = clock()

    def report(progress: Progress, /) -> None:
        nonlocal last
        if clock() - last < SECONDS_BETWEEN_LINES:
            return
        last = clock()
        of = f" of {progress.total}" if progress.total else ""
        write(f"{progress.step}: {progress.done}{of}")

    return report
