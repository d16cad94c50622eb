"""Real workers: ``embedding_worker`` as a process of its own, which never outlives the demo's step."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from integrity.exceptions import IntegrityAppError

PATIENCE = 60.0  # seconds for a worker to get somewhere
_ENVIRONMENT = {"EMBEDDING_PROVIDER": "offline", "EMBEDDING_LEASE": "2"}
_FOREIGN = ("EMBEDDING_MODEL", "EMBEDDING_MODEL_PATH", "EMBEDDING_DIMENSIONS")  # options of somebody else's provider


class WorkerFailed(IntegrityAppError):
    """A worker ended badly, or not at all."""


def run_worker(*, using: str) -> None:
    """Let a worker empty the queue.

    Raises:
        WorkerFailed: it ended with another code than 0, or not in time; it is gone in any case.
    """
    with _worker(using=using) as worker:
        try:
            _, err = worker.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise WorkerFailed(
                f"A worker did not empty the queue within {PATIENCE:.0f} s. See: manage.py embedding_queue status."
            ) from error
    if worker.returncode:
        raise WorkerFailed(f"A worker ended with exit code {worker.returncode}: {err.strip() or 'without a word'}")


def kill_worker(*, using: str, once: Callable[[], bool]) -> None:
    """Start a worker, and kill it as soon as ``once`` holds, as ``kill -9`` does."""
    never = threading.Event()
    with _worker(using=using) as worker:
        for _ in range(int(PATIENCE / 0.01)):
            if once() or worker.poll() is not None:
                return
            never.wait(0.01)


@contextmanager
def _worker(*, using: str) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    environment |= _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "django", "embedding_worker", "--until-empty", "--database", using]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as worker:
        try:
            yield worker
        finally:
            worker.kill()  # does nothing to one that has ended
