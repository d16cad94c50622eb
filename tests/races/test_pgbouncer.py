"""Behind PgBouncer, where consecutive transactions of one client meet different sessions of the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from django.apps import apps
from django.db import connections

from integrity.backends.postgresql.session import PoolerInTheWay
from integrity.backends.schema import get_schema
from integrity.backends.sql import compose
from integrity.dedupe import apply_plan, make_plan, pause_run, resume_run, undo_run
from integrity.models import DedupeRun
from integrity.pipeline import job_queue
from integrity.queue import install, listen
from integrity.writes import upsert
from tests.commands import CommandResult
from tests.databases import Database, as_default
from tests.ponies.models import Pony
from tests.races.conftest import NAMES
from tests.races.pooled import PROGRAM, SESSIONS, Pooled, pooled
from tests.races.writers import at_step
from tests.snapshots import snapshot

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no pgbouncer on the PATH, nor in TEST_PGBOUNCER"),
]

UNTOUCHED = [("", "")] * SESSIONS
"""No setting is changed in any session, and none listens."""


@pytest.fixture
def pool(postgres_pairs: Database) -> Iterator[Pooled]:
    """Three pairs of ponies behind a pooler whose other clients keep it changing sessions."""
    with pooled(postgres_pairs) as pool, as_default(pool.database), Busy(pool.database):
        yield pool


class Busy:
    """Other clients of the pooler, at work all the time: what comes next gets whichever session is free."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(SESSIONS)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        with closing(psycopg.connect(self._database.url, autocommit=True, prepare_threshold=None)) as own:
            while not self._stop.wait(0.001):
                with own.transaction():
                    own.execute("SELECT pg_sleep(0.001)")


def test_a_run_is_applied_paused_resumed_and_undone(pool: Pooled) -> None:
    before = snapshot()
    plan = make_plan(NAMES, apps=apps, using="default")

    with at_step("done", lambda: pause_run(DedupeRun.objects.get().pk, apps=apps, using="default")):
        paused = apply_plan(plan.id, NAMES, apps=apps, using="default", batch_size=1)
    finished = resume_run(paused.id, NAMES, apps=apps, using="default", batch_size=1)
    undone = undo_run(finished.id, apps=apps, using="default")

    assert (paused.state, paused.removed) == ("paused", 1)
    assert (finished.state, finished.removed, finished.groups_left) == ("finished", 3, 0)
    assert (undone.state, undone.refused) == ("undone", ())
    assert snapshot() == before
    assert pool.sessions() == UNTOUCHED


def test_what_many_write_at_once_is_there_once(pool: Pooled) -> None:
    inserted: list[int] = []

    def write() -> None:
        rows = [{"id": n, "code": f"{n}", "name": "pooled", "gone": False} for n in range(100, 1600)]
        try:
            inserted.append(upsert(model=Pony, rows=rows, unique_fields=["code"]).counts["inserted"])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(inserted), sum(inserted), Pony.all_objects.filter(name="pooled").count()) == (4, 1500, 1500)
    assert pool.sessions() == UNTOUCHED


def test_what_needs_a_session_of_its_own_is_refused_and_leaves_nothing_in_the_pool(
    pool: Pooled, call: Callable[..., CommandResult]
) -> None:
    index = compose("CREATE INDEX {name} ON {table} (name)", name="pony_name", table="ponies_pony")

    added = call("add_unique", "ponies.Pony", "--key", "name", "--name", "one_name", "--refuse")
    with pytest.raises(PoolerInTheWay):
        get_schema(using="default").create_index("ponies_pony", "pony_name", index, say=print)

    assert (added.code, "Connect to PostgreSQL directly" in added.err) == (2, True)
    assert pool.direct.execute("SELECT 1 FROM pg_class WHERE relname IN ('one_name', 'pony_name')") == []
    assert pool.sessions() == UNTOUCHED


def test_strangers_are_not_made_to_listen_to_a_queue(pool: Pooled) -> None:
    with as_default(pool.direct):
        install(using="default")
        job_queue().create()
    with as_default(pool.database):
        listen(job_queue())

    assert pool.sessions() == UNTOUCHED


@pytest.mark.parametrize("command", [("audit",), ("dedupe", "ponies.Pony", "--key", "name")], ids=" ".join)
def test_a_pooler_without_transactions_is_named(
    postgres_ponies: Database, call: Callable[..., CommandResult], command: tuple[str, ...]
) -> None:
    with pooled(postgres_ponies, mode="statement") as pool, as_default(pool.database):
        said = call(*command)

    assert said.code == 2
    assert "or to a pooler in transaction mode" in said.err
