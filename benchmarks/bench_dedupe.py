"""Find, remove and index against the blocking SQL that such clean-ups are usually done with.

Claim: on N embeddings of which a share is redundant, planning, moving the redundant rows to quarantine in short
batches and building the unique index concurrently take no longer together than ``DELETE ... WHERE EXISTS`` and
``ADD CONSTRAINT``, which block every writer all the while; client memory stays flat. The search of the whole table that
ends a run is measured by itself: the unique index proves the same.

    python -m benchmarks.bench_dedupe [rows] [share of redundant rows] [connections of the apply]
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import connection

from benchmarks.scratch import postgresql, seconds
from integrity.dedupe import Pace, apply_plan, count_duplicates, make_plan
from integrity.rules.embeddings import EMBEDDINGS
from integrity.signals import batch_done, batch_step

KEY = "invocation_id, embedding_model"
CONSTRAINT = "unique_invocation_embedding_model"


@dataclass
class Batches:
    """How long each batch's transaction held its locks, from the first to the commit."""

    longest: float = 0.0
    _locked: threading.local = field(default_factory=threading.local)

    def __post_init__(self) -> None:
        batch_step.connect(self.listen)
        batch_done.connect(self.listen)

    def listen(self, *, step: str = "done", **_: Any) -> None:
        if step == "locked":
            self._locked.at = time.perf_counter()
        if step == "done":
            self.longest = max(self.longest, time.perf_counter() - self._locked.at)


def fill(rows: int, share: float) -> None:
    """Fill the empty table: rows in the order of their making, redundant ones far from the first of their kind."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE embedding CASCADE")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            """
            INSERT INTO embedding (id, started_at, completed_at, invocation_id, embedding_model, vector)
            SELECT gen_random_uuid(), timestamp '2026-01-01' + g * interval '1 ms', timestamp '2026-01-01',
                   md5((g %% %s)::text)::uuid, 'nomic', '\\x00000000000000000000000000000000'
            FROM generate_series(1, %s) AS g
            """,
            [round(rows * (1 - share)), rows],
        )
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM ANALYZE embedding")


def blocking() -> tuple[float, float]:
    """Seconds for the usual statements: delete all but the smallest id, then add the constraint."""
    with connection.cursor() as cursor:
        delete = seconds(
            lambda: cursor.execute(
                """
                DELETE FROM embedding AS d WHERE EXISTS (
                    SELECT 1 FROM embedding AS k WHERE k.invocation_id = d.invocation_id
                      AND k.embedding_model = d.embedding_model AND k.id < d.id)
                """
            )
        )
        add = seconds(lambda: cursor.execute(f"ALTER TABLE embedding ADD CONSTRAINT {CONSTRAINT} UNIQUE ({KEY})"))
        cursor.execute(f"ALTER TABLE embedding DROP CONSTRAINT {CONSTRAINT}")
    return delete, add


def ours(connections: int) -> tuple[float, float, float, float, Batches]:
    """Seconds for the plan, for its application, for searching the table again, and for the concurrent index."""
    batches = Batches()
    start = time.perf_counter()
    plan = make_plan(EMBEDDINGS, apps=apps, using="default")
    planned = time.perf_counter()
    pace = Pace(connections=connections)
    run = apply_plan(plan.id, EMBEDDINGS, apps=apps, using="default", verify=False, pace=pace)
    applied = time.perf_counter()
    left = count_duplicates(EMBEDDINGS, apps=apps, using="default")
    searched = time.perf_counter()
    if left.groups or run.removed != plan.redundant:
        raise SystemExit(f"not clean: {run}")
    with connection.cursor() as cursor:
        index = seconds(lambda: cursor.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {CONSTRAINT} ON embedding ({KEY})"))
        cursor.execute(f"DROP INDEX {CONSTRAINT}")
    return planned - start, applied - planned, searched - applied, index, batches


def main(rows: int, share: float, connections: int) -> None:
    """Print both, and the ratio."""
    with postgresql():
        call_command("migrate", "integrity", "0001", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX ix_embedding_invocation_id")  # rebuilt, for the filling's sake
        fill(rows, share)
        _index()
        delete, add = blocking()
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX ix_embedding_invocation_id")
        fill(rows, share)
        _index()
        plan, apply, search, index, batches = ours(connections)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    theirs, total = delete + add, plan + apply + index
    print(f"{rows:,} rows, {share:.0%} redundant, applied on {connections} connections")
    print(f"  blocking SQL   delete {delete:7.2f} s, constraint {add:6.2f} s: {theirs:7.2f} s, all of it blocking")
    print(f"  ours           plan {plan:9.2f} s, apply {apply:11.2f} s, index {index:6.2f} s: {total:7.2f} s")
    print(
        f"  ratio          {total / theirs:.2f} (ours / blocking); find and remove: {rows / (plan + apply):,.0f} rows/s"
    )
    print(f"  searched again {search:7.2f} s; with it {(total + search) / theirs:.2f}")
    print(f"  longest locks  {batches.longest * 1000:.0f} ms; client memory {memory:.0f} MB")


def _index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX ix_embedding_invocation_id ON embedding (invocation_id)")
        cursor.execute("ANALYZE embedding")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 200_000,
        float(sys.argv[2]) if len(sys.argv) > 2 else 0.05,
        int(sys.argv[3]) if len(sys.argv) > 3 else 2,
    )
