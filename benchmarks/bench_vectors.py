"""What quarantine costs where rows are wide: vectors of 768 numbers.

Claim: moving redundant rows to quarantine takes at most twice as long as deleting the same rows. Told twice: with the
search for them on both sides, and for rows that are known already, one DELETE against all batches of the apply.

    python -m benchmarks.bench_vectors [rows] [share of redundant rows]
"""

from __future__ import annotations

import sys
import time

from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction

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


def deleting_known(plan: int) -> float:
    """Seconds to delete, in one statement, the rows that a plan names; they come back, for the plan to be applied."""
    with transaction.atomic(), connection.cursor() as cursor:
        statement = (
            f"DELETE FROM embedding AS t USING integrity_plan_{plan} AS r WHERE t.id = r.p1 AND r.action = 'remove'"
        )
        taken = seconds(lambda: cursor.execute(f"{statement}; SET CONSTRAINTS ALL IMMEDIATE"))
        transaction.set_rollback(True)
    return taken


def quarantining() -> tuple[float, float, float, Batches]:
    """Seconds to find them, to delete them when found, and to move them."""
    batches = Batches()
    batch_step.connect(batches.listen)
    began = time.perf_counter()
    plan = make_plan(EMBEDDINGS, apps=apps, using="default")
    planned = time.perf_counter() - began
    known = deleting_known(plan.id)
    began = time.perf_counter()
    run = apply_plan(plan.id, EMBEDDINGS, apps=apps, using="default")
    applied = time.perf_counter() - began
    if not run.clean or run.removed != plan.redundant:
        raise SystemExit(f"not clean: {run}")
    return planned, known, applied, batches


def main(rows: int, share: float) -> None:
    """Print all, and the ratios."""
    with postgresql():
        call_command("migrate", "integrity", "0001", verbosity=0)
        fill(rows, share)
        theirs = deleting()
        fill(rows, share)
        planned, known, applied, batches = quarantining()
    print(f"{rows:,} rows with 768 numbers, {share:.0%} redundant")
    print(f"  find and delete {theirs:.2f} s; plan {planned:.2f} s, apply {applied:.2f} s")
    print(f"  ratio          {(planned + applied) / theirs:.2f} (plan and apply / find and delete)")
    print(f"  known rows     {applied / known:.2f} (apply / DELETE of the planned rows, {known:.2f} s)")
    print(f"  longest locks  {batches.longest * 1000:.0f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, float(sys.argv[2]) if len(sys.argv) > 2 else 0.05)
