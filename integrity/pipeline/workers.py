"""Several workers in one process, until somebody says stop."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from django.db import connections

from integrity.pipeline.chores import Chores
from integrity.pipeline.providers import Provider, get_provider
from integrity.pipeline.vectors import require_dimensions
from integrity.pipeline.worker import Worker
from integrity.queue import KeyedQueue


def run_workers(
    *,
    queue: KeyedQueue,
    provider: Provider | None = None,
    concurrency: int = 1,
    batch_size: int = 100,
    once: bool = False,
    until_empty: bool = False,
    stop: threading.Event | None = None,
) -> Counter[str]:
    """Run workers, each on a thread and a connection of its own; return what became of messages, by outcome.

    ``once``: one batch per worker. ``until_empty``: until the queue holds no message. Else until ``stop`` is set.

    Raises:
        BreakerOpen: with ``until_empty``: messages wait for a provider that failed again when it was tried.
        DatabaseError: with ``until_empty``: the database has failed for a minute.
        QueueMissing: there is no such queue.
        WrongDimensions: the provider's vectors do not fit into the column.
    """
    provider = provider or get_provider()
    stop = stop or threading.Event()
    queue.require()
    require_dimensions(provider, using=queue.using)
    workers = [Worker(queue=queue, provider=provider, batch_size=batch_size, stop=stop) for _ in range(concurrency)]
    if not once:
        workers[0].chores = Chores(queue=queue, model=provider.model)
    faults: list[BaseException] = []
    threads = [
        threading.Thread(target=_run, args=(worker, faults), kwargs={"once": once, "until_empty": until_empty})
        for worker in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return sum((worker.counts for worker in workers), Counter())


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and SIGINT set; the second signal acts as it would without us."""
    stop = threading.Event()

    def handle(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(worker: Worker, faults: list[BaseException], *, once: bool, until_empty: bool) -> None:
    try:
        if once:
            worker.step()
        else:
            worker.run(until_empty=until_empty)
    except BaseException as error:
        faults.append(error)
        worker.stop.set()
    finally:
        connections[worker.queue.using].close()
