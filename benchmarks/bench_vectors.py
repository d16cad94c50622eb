"""What quarantine costs where rows are wide: vectors of 768 numbers.

Claim: moving redundant rows to quarantine takes at most twice as long as deleting the same rows.

    python -m benchmarks.bench_vectors [rows] [share of redundant rows]
"""

from __future__ import annotations

import sys
import time

from django.apps import apps
from django.core.management import call_command
from django.db import connection

from benchmarks.bench_dedupe import Batches
from benchmarks.scratch import postgresql, seconds
from integrity.dedupe import apply_plan, make_plan
from integrity.rules.embeddings import EMBEDDINGS
from integrity.signals import batch_step


def fill(rows: int, share: float) -> None:
    """Fill the table with vectors of 768 random float32, which compression leaves as they are: 3 kB a row."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE TEMPORARY TABLE IF NOT EXISTS noise AS
            SELECT n, string_agg(uuid_send(gen_random_uuid()), '') AS bytes
            FROM generate_series(0, 999) AS n, generate_series(1, 191) GROUP BY n
            """
        )
        cursor.execute("TRUNCATE embedding CASCADE")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            """
            INSERT INTO embedding (id, started_at, completed_at, invocation_id, embedding_model, vector)
            SELECT gen_random_uuid(), timestamp '2026-01-01' + g * interval '1 ms', timestamp '2026-01-01',
                   md5((g %% %s)::text)::uuid, 'nomic',
                   uuid_send(gen_random_uuid()) || noise.bytes
            FROM generate_series(1, %s) AS g JOIN noise ON noise.n = g %% 1000
            """,
            [round(rows * (1 - share)), rows],
        )
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM ANALYZE embedding")
        cursor.execute("CHECKPOINT")


def deleting() -> float:
    """Seconds to find and delete the redundant rows, and nothing else."""
    with connection.cursor() as cursor:
        return seconds(
            lambda: cursor.execute(
                """
                DELETE FROM embedding WHERE id IN (
                    SELECT id FROM (SELECT id, ROW_NUMBER() OVER (
                        PARTITION BY invocation_id, embedding_model ORDER BY started_at, id) AS n FROM embedding) AS r
                    WHERE n > 1)
                """
            )
        )


def quarantining() -> tuple[float, Batches]:
    """Seconds to find and move them."""
    batches = Batches()
    batch_step.connect(batches.listen)
    began = time.perf_counter()
    plan = make_plan(EMBEDDINGS, apps=apps, using="default")
    run = apply_plan(plan.id, EMBEDDINGS, apps=apps, using="default")
    taken = time.perf_counter() - began
    if not run.clean or run.removed != plan.redundant:
        raise SystemExit(f"not clean: {run}")
    return taken, batches


def main(rows: int, share: float) -> None:
    """Print both, and the ratio."""
    with postgresql():
        call_command("migrate", "integrity", "0001", verbosity=0)
        fill(rows, share)
        theirs = deleting()
        fill(rows, share)
        mine, batches = quarantining()
    print(f"{rows:,} rows with 768 numbers, {share:.0%} redundant: delete {theirs:.2f} s, quarantine {mine:.2f} s")
    print(f"  ratio          {mine / theirs:.2f} (quarantine / delete); longest locks {batches.longest * 1000:.0f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, float(sys.argv[2]) if len(sys.argv) > 2 else 0.05)
