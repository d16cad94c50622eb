"""Several workers in one process, until somebody says stop."""

from __future__ import annotations

import threading
from collections import Counter

from django.db import connections

from integrity.models import Chore, CircuitBreaker, CourseFile, DeadLetter, FileChunk, FileEmbedding, FileState
from integrity.pipeline.assumed import require_chosen
from integrity.pipeline.chores import Chores
from integrity.pipeline.dimensions import require_dimensions
from integrity.pipeline.providers import Provider, checked, get_provider
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
        BreakerOpen: messages wait for a provider that is not called (``once``), or that failed again when it was
            tried (``until_empty``).
        DatabaseError: one of the tables is missing or may not be read; with ``until_empty``: the database has failed
            for a minute.
        ProviderMisconfigured: it is no provider, or its model's name cannot be stored; or none is given, the settings
            name none, and there are vectors of another model than the default one's.
        QueueMissing: there is no such queue.
        WrongDimensions: the provider's vectors do not fit into the column.
    """
    is_given, provider = provider is not None, checked(provider or get_provider())
    stop = stop or threading.Event()
    queue.require()
    _require_tables(using=queue.using)
    if not is_given:
        require_chosen(provider.model, using=queue.using)
    require_dimensions(provider, using=queue.using)
    workers = [Worker(queue=queue, provider=provider, batch_size=batch_size, stop=stop) for _ in range(concurrency)]
    if not once:
        workers[0].chores = Chores(queue=queue, model=provider.model)
    faults: list[BaseException] = []
    threads = [
        # Daemons: who cannot wait for the batch in hand ends the process, and with it the workers.
        threading.Thread(target=_run, args=(worker, faults, once, until_empty), daemon=True)
        for worker in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(1)  # a signal that the system gave to another thread would not end a longer wait
    if faults:
        raise faults[0]
    return sum((worker.counts for worker in workers), Counter())


def _require_tables(*, using: str) -> None:
    """Ask each table: without one, a worker would try again and again."""
    for model in (CourseFile, FileChunk, FileEmbedding, FileState, DeadLetter, CircuitBreaker, Chore):
        model._base_manager.using(using).exists()


def _run(worker: Worker, faults: list[BaseException], once: bool, until_empty: bool) -> None:
    try:
        if once:
            worker.run_once()
        else:
            worker.run(until_empty=until_empty)
    except BaseException as error:
        faults.append(error)
        worker.stop.set()
    finally:
        connections[worker.queue.using].close()
