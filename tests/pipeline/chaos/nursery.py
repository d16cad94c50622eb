"""Workers by the dozen: a process that has loaded everything, and forks whenever it reads a line.

``python -m tests.pipeline.chaos.nursery URL HANDLER SEED`` prints the pid of each child. It ends with its input, and
its children with it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta

import django

django.setup()

from django.db import connections  # noqa: E402 - Django first
from django.test import override_settings  # noqa: E402

from integrity.pipeline import job_queue  # noqa: E402
from integrity.pipeline.chores import Chores  # noqa: E402
from integrity.pipeline.providers import ProviderUnavailable, Vectors  # noqa: E402
from integrity.pipeline.providers.offline import OfflineProvider  # noqa: E402
from integrity.pipeline.worker import Worker  # noqa: E402
from tests.databases import Database, as_default  # noqa: E402
from tests.pipeline.chaos.naive import naive_worker  # noqa: E402
from tests.pipeline.chaos.place import DIMENSIONS  # noqa: E402

LEASE = 2.0
OFTEN = dict.fromkeys(("serve", "reconcile", "orphans"), timedelta(seconds=0.5))


class SlowProvider:
    """The offline provider with a network's whims: it takes its time, and now and then it fails."""

    def __init__(self, seed: int) -> None:
        self._offline = OfflineProvider(dimensions=DIMENSIONS)
        self._random = random.Random(seed)
        self._never = threading.Event()
        self.model = self._offline.model
        self.dimensions = DIMENSIONS

    def embed(self, texts: Sequence[str]) -> Vectors:
        self._never.wait(self._random.expovariate(1 / 0.02))
        if self._random.random() < 0.01:
            raise ProviderUnavailable("the network")
        return self._offline.embed(texts)


def work(seed: int, handler: str) -> None:
    """Be one worker until killed, or asked to stop."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    provider = SlowProvider(seed)
    if handler == "naive":
        naive_worker(provider, stop)
        return
    queue = job_queue()
    chores = Chores(queue=queue, model=provider.model, intervals=OFTEN)
    size = random.Random(seed).choice([1, 5, 20, 50])
    Worker(queue=queue, provider=provider, batch_size=size, stop=stop, chores=chores).run()


def main(url: str, handler: str, seed: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    with as_default(Database(vendor="postgresql", url=url)), override_settings(INTEGRITY_EMBEDDING_LEASE=LEASE):
        for number, _line in enumerate(sys.stdin):
            pid = os.fork()
            if pid == 0:
                with contextlib.suppress(KeyboardInterrupt):
                    work(seed * 1000 + number, handler)
                connections.close_all()
                os._exit(0)
            sys.stdout.write(f"{pid}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
