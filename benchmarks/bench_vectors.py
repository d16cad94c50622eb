"""What quarantine costs where rows are wide: vectors of 768 numbers.

Claim: moving redundant rows to quarantine takes at most twice as long as deleting the same rows. Told three times:
a statement that moves against one that deletes, both rolled back; the batches of the apply, with all their checks,
against that DELETE; plan and apply against a search and DELETE.

    python -m benchmarks.bench_vectors [rows] [share of redundant rows] [connections of the apply]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median

from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction

from benchmarks.bench_dedupe import Batches
from benchmarks.scratch import postgresql, seconds
from integrity.backends import get_catalogue, get_rows
from integrity.backends.sql import SQL
from integrity.dedupe import Pace, apply_plan, make_plan
from integrity.dedupe.plans import load_plan, stages_of
from integrity.dedupe.quarantine import quarantine_of
from integrity.dedupe.refusals import refusals_of
from integrity.rules.embeddings import EMBEDDINGS


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


def rolled_back(statement: Callable[[], object]) -> float:
    """Seconds of one statement and of the checks of foreign keys that follow it."""

    def to_the_end() -> None:
        statement()
        get_rows(using="default").check_constraints_now()

    with transaction.atomic():
        taken = seconds(to_the_end)
        transaction.set_rollback(True)
    return taken


def in_one_statement(plan: int) -> tuple[float, float]:
    """Seconds to delete the rows that a plan names, and to move them: medians of five, in turn."""
    root, _ = stages_of(load_plan(plan, apps=apps, using="default"))
    quarantine = quarantine_of(root.table, apps=apps, using="default", catalogue=get_catalogue(using="default"))
    rows = get_rows(using="default")

    def delete() -> None:
        rows.execute(SQL(f"DELETE FROM embedding t USING {root.name} r WHERE t.id = r.p1 AND r.action = 'remove'"))

    def move() -> None:
        rows.move(
            table=root.table,
            pk=root.pk,
            stage=root.name,
            names=root.columns,
            into=quarantine,
            extra={
                "integrity_run": SQL("0"),
                "integrity_unit": SQL("r.unit"),
                "integrity_at": SQL("CURRENT_TIMESTAMP"),
            },
            span=(0, 2**31),
            refusals=refusals_of(root),
        )

    taken = [(rolled_back(delete), rolled_back(move)) for _ in range(5)]
    deleting, moving = map(median, zip(*taken, strict=True))
    return deleting, moving


def quarantining(connections: int) -> tuple[float, float, float, float, Batches]:
    """Seconds to find them, to delete and to move them in one statement, and to apply the plan."""
    batches = Batches()
    began = time.perf_counter()
    plan = make_plan(EMBEDDINGS, apps=apps, using="default")
    planned = time.perf_counter() - began
    deleted, moved = in_one_statement(plan.id)
    began = time.perf_counter()
    pace = Pace(connections=connections)
    run = apply_plan(plan.id, EMBEDDINGS, apps=apps, using="default", verify=False, pace=pace)
    applied = time.perf_counter() - began
    if run.removed != plan.redundant:
        raise SystemExit(f"not clean: {run}")
    return planned, deleted, moved, applied, batches


def main(rows: int, share: float, connections: int) -> None:
    """Print all, and the ratios."""
    with postgresql():
        call_command("migrate", "integrity", "0001", verbosity=0)
        fill(rows, share)
        theirs = deleting()
        fill(rows, share)
        planned, deleted, moved, applied, batches = quarantining(connections)
    print(f"{rows:,} rows with 768 numbers, {share:.0%} redundant, applied on {connections} connections")
    print(f"  find and delete {theirs:.2f} s; plan {planned:.2f} s, apply {applied:.2f} s")
    print(
        f"  quarantine     {moved / deleted:.2f} (one statement that moves, {moved:.2f} s / deletes, {deleted:.2f} s)"
    )
    print(f"  apply          {applied / deleted:.2f} (all batches with their checks / the statement that deletes)")
    print(f"  from the start {(planned + applied) / theirs:.2f} (plan and apply / find and delete)")
    print(f"  longest locks  {batches.longest * 1000:.0f} ms")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 20_000,
        float(sys.argv[2]) if len(sys.argv) > 2 else 0.05,
        int(sys.argv[3]) if len(sys.argv) > 3 else 2,
    )
