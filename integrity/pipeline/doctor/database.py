"""What goes wrong in a database around its queues: the tables behind the jobs, other sessions, what was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from integrity.backends import get_catalogue, get_rows
from integrity.backends.sql import SQL
from integrity.models import FileState
from integrity.pipeline.doctor.mistake import Mistake
from integrity.pipeline.jobs import command_for, job_queue
from integrity.pipeline.reconcile import files_with_gaps
from integrity.queue.advice import install_command

OLDEST_SNAPSHOT = 600  # seconds


def cascades(using: str) -> Iterator[Mistake]:
    """Embeddings that vanish with their chunk, behind the back of whoever works on it."""
    for key in get_catalogue(using=using).foreign_keys("file_embeddings"):
        if key.on_delete == "CASCADE":
            yield Mistake(
                id="tables.cascade",
                message=f"file_embeddings: {key.name} is ON DELETE CASCADE.",
                hint="Make it RESTRICT (manage.py migrate does): a deletion that comes too early should fail.",
            )


def missing_columns(using: str) -> Iterator[Mistake]:
    """Chunks without versions: what a late job would write to cannot be told from what it was meant for."""
    columns = {column.name for column in get_catalogue(using=using).columns("file_chunks")}
    missing = sorted({"version", "is_active", "archived_at"} - columns) if columns else []
    if missing:
        yield Mistake(
            id="tables.versions",
            message=f"file_chunks has no column {', '.join(missing)}: a re-upload must delete what jobs refer to.",
            hint="Run: manage.py migrate.",
        )


def old_snapshots(using: str) -> Iterator[Mistake]:
    """Transactions that keep dead messages from being removed: every read scans past them."""
    age = get_rows(using=using).value(
        SQL("""
            SELECT EXTRACT(epoch FROM MAX(clock_timestamp() - xact_start))::bigint FROM pg_catalog.pg_stat_activity
            WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
        """)
    )
    if (age or 0) > OLDEST_SNAPSHOT:
        yield Mistake(
            id="database.old_snapshot",
            message=f"A transaction has been open for {age} s: reads of the queue become slower and slower.",
            hint="End it; find it in pg_stat_activity by xact_start.",
        )


def unlisted_queues(using: str) -> Iterator[Mistake]:
    """Queues that PGMQ does not know any more, as after its extension was dropped and created again."""
    found = get_rows(using=using).fetch(
        SQL("""
            SELECT substr(q.relname, 3) FROM pg_catalog.pg_class AS q JOIN pg_catalog.pg_class AS a
            ON a.relnamespace = q.relnamespace AND a.relname = 'a_' || substr(q.relname, 3)
            WHERE q.relnamespace = 'pgmq'::regnamespace AND q.relkind IN ('r', 'p') AND NOT q.relispartition
              AND q.relname LIKE 'q\\_%%'
              AND NOT EXISTS (SELECT 1 FROM pgmq.meta WHERE lower(queue_name) = substr(q.relname, 3))
            ORDER BY 1
        """)
    )
    for (name,) in found:
        yield Mistake(
            id="queue.unlisted",
            message=f"Queue {name} has its tables, and no row in pgmq.meta: PGMQ neither lists, measures nor drops it.",
            hint=f"Run: SELECT pgmq.create('{name}').",
        )


def lost_jobs(using: str) -> Iterator[Mistake]:
    """Chunks that wait for nobody: their messages were purged, or dropped with the queue."""
    if not _are_ours(using):
        return
    queue = job_queue(using=using)
    reconcile = command_for("reconcile", queue=queue.name, using=using)
    if not queue.exists():
        if FileState.objects.using(using).exists():
            yield Mistake(
                id="queue.missing",
                message=f"There is no queue {queue.name}, and files were processed with one.",
                hint=f"Run: {install_command(using=using)}; then {reconcile}, which sends the jobs that are missing.",
            )
    elif files := files_with_gaps(queue=queue):
        yield Mistake(
            id="queue.lost_jobs",
            message=f"Queue {queue.name}: {len(files)} files have chunks with neither vector, message nor dead letter.",
            hint=f"Run: {reconcile}; or let a worker run, which does it every minute.",
        )


def _are_ours(using: str) -> bool:
    catalogue = get_catalogue(using=using)
    needed = {
        "file_chunks": {"id", "file_id", "version", "is_active"},
        "file_embeddings": {"chunk_id", "model_version"},
        "integrity_file_state": {"file_id", "current_version", "model"},
        "integrity_dead_letter": {"chunk_id", "closed_at"},
    }
    return all(columns <= {c.name for c in catalogue.columns(table)} for table, columns in needed.items())


PER_DATABASE: tuple[Callable[[str], Iterator[Mistake]], ...] = (
    unlisted_queues,
    lost_jobs,
    cascades,
    missing_columns,
    old_snapshots,
)
