"""Everybody who takes part, each on a thread: writers, searchers, retention, and those who break things."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections, transaction

from integrity.exceptions import IntegrityAppError
from integrity.pipeline import delete_file, job_queue, process_file, remove_old, search
from integrity.pipeline.providers.offline import OfflineProvider
from project.local import CHECKOUT
from tests.pipeline.chaos.invariants import is_quiet, violations
from tests.pipeline.chaos.naive import naive_upload
from tests.pipeline.chaos.place import DIMENSIONS, Place, chaos_place
from tests.pipeline.library import execute, fetch, new_file

WRITERS = WORKERS = 4
FILES = 16
CALM = 60.0  # seconds for the workers to finish once nobody breaks anything
VOCABULARY = [f"{thing} number {number}" for thing in ("river", "engine", "poem") for number in range(60)]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One run of one seed."""

    seed: int
    counts: Counter[str]
    violations: dict[str, int]

    def __str__(self) -> str:
        did = ", ".join(f"{number} {what}" for what, number in sorted(self.counts.items()))
        wrong = "; ".join(f"{what}: {number}" for what, number in self.violations.items())
        return f"seed {self.seed}: {did}: " + (f"FAILED: {wrong}" if wrong else "all invariants hold")


@dataclass(kw_only=True)
class Chaos:
    """One run. Every actor has a random generator of its own, seeded from the run's seed and the actor's name."""

    place: Place
    seed: int
    naive: bool = False
    over: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter)
    mixed: int = 0
    faults: list[BaseException] = field(default_factory=list)

    def run(self, seconds: float) -> Outcome:
        """Let everything loose for so long, then wait for calm and ask for the invariants."""
        files = [new_file() for _ in range(FILES)]
        provider = OfflineProvider(dimensions=DIMENSIONS)
        actors: list[tuple[str, Callable[[random.Random], None], float]] = [
            *((f"writer {n}", lambda chance: self._write(chance, files, provider), 0.02) for n in range(WRITERS)),
            ("purger", lambda _: self._purge(), seconds / 8),
            ("crasher", lambda _: self._crash(), seconds / 12),
        ]
        if not self.naive:
            actors += [
                ("searcher", lambda chance: self._search(chance, provider), 0.05),
                ("retention", lambda _: self._remove_old(), 0.3),
            ]
        with self._nursery() as nursery:
            actors.append(("killer", lambda chance: self._kill(chance, nursery), 0.35))
            threads = [threading.Thread(target=self._act, args=actor) for actor in actors]
            for thread in threads:
                thread.start()
            self.over.wait(seconds)
            self.over.set()
            for thread in threads:
                thread.join()
            self._wait_for_calm()
        if self.faults:
            raise self.faults[0]
        done = "SELECT COUNT(*) FROM pgmq.a_embeddings WHERE headers->>'outcome' = 'done'"
        self.counts["embedded"] = fetch(done)[0][0]
        self.counts["messages"] = fetch("SELECT COUNT(*) FROM chaos_sent")[0][0]
        self.counts["dead letters"] = fetch("SELECT COUNT(*) FROM integrity_dead_letter")[0][0]
        return Outcome(seed=self.seed, counts=self.counts, violations=violations(self.place, mixed=self.mixed))

    def _act(self, name: str, action: Callable[[random.Random], None], pause: float) -> None:
        chance = random.Random(f"{self.seed} {name}")
        try:
            while not self.over.wait(chance.expovariate(1 / pause)):
                try:
                    action(chance)
                except (DatabaseError, InterfaceError):
                    self.counts["interrupted"] += 1
                    connections.close_all()
        except BaseException as error:
            self.faults.append(error)
            self.over.set()
        finally:
            connections.close_all()

    def _write(self, chance: random.Random, files: list[UUID], provider: OfflineProvider) -> None:
        file, pieces = chance.choice(files), chance.sample(VOCABULARY, chance.randint(0, 40))
        if self.naive:
            naive_upload(file, pieces)
        elif chance.random() < 0.08:
            delete_file(file=file)
        else:
            process_file(file=file, chunks=pieces, model=provider.model)
        self.counts["uploads"] += 1

    def _search(self, chance: random.Random, provider: OfflineProvider) -> None:
        versions = defaultdict(set)
        with contextlib.suppress(IntegrityAppError):
            for hit in search(query=chance.choice(VOCABULARY), k=50, provider=provider):
                versions[hit.file].add(hit.version)
        self.mixed += sum(len(found) > 1 for found in versions.values())
        self.counts["searches"] += 1

    def _remove_old(self) -> None:
        removed = remove_old(queue=job_queue(), chunks_after=timedelta(0), messages_after=timedelta(days=1))
        self.counts["removed chunks"] += removed.chunks

    def _purge(self) -> None:
        with transaction.atomic():
            execute("LOCK TABLE pgmq.q_embeddings IN ACCESS EXCLUSIVE MODE")
            execute("INSERT INTO chaos_purged SELECT msg_id FROM pgmq.q_embeddings")
            job_queue().purge_queue()
        self.counts["purges"] += 1

    def _crash(self) -> None:
        self.place.crash()
        self.counts["crashes"] += 1

    def _kill(self, chance: random.Random, nursery: Nursery) -> None:
        nursery.replace(chance.randrange(WORKERS))
        self.counts["kills"] += 1

    @contextlib.contextmanager
    def _nursery(self) -> Iterator[Nursery]:
        handler = "naive" if self.naive else "pipeline"
        command = [
            sys.executable,
            "-m",
            "tests.pipeline.chaos.nursery",
            self.place.database.url,
            handler,
            str(self.seed),
        ]
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
        with subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            nursery = Nursery(process)
            try:
                yield nursery
            finally:
                nursery.close()

    def _wait_for_calm(self) -> None:
        deadline, quiet = time.monotonic() + (5 if self.naive else CALM), is_quiet(naive=self.naive)
        calm = threading.Event()
        while not calm.wait(0.2) and time.monotonic() < deadline:
            try:
                if quiet():
                    return
            except (DatabaseError, InterfaceError):
                connections.close_all()


class Nursery:
    """The workers that live now."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._pids = [self._fork() for _ in range(WORKERS)]

    def replace(self, number: int) -> None:
        """Kill a worker, whatever it is doing, and start another."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pids[number], signal.SIGKILL)
        self._pids[number] = self._fork()

    def close(self) -> None:
        """Ask the workers to end, and the process that made them."""
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(30)

    def _fork(self) -> int:
        self._process.stdin.write("\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
        return int(self._process.stdout.readline())  # type: ignore[union-attr]


def run_chaos(*, seed: int, seconds: float, naive: bool = False) -> Outcome:
    """Run one seed on a fresh server and return what came of it."""
    with chaos_place(f"{os.getpid()}-{seed}-{'naive' if naive else 'ours'}") as place:
        return Chaos(place=place, seed=seed, naive=naive).run(seconds)
