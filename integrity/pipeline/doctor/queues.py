"""What goes wrong in one queue, whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from integrity.backends import get_catalogue, get_rows
from integrity.backends.sql import SQL, as_value, compose
from integrity.pipeline.doctor.mistake import Mistake
from integrity.pipeline.jobs import command_for, job_queue
from integrity.queue import lacking_columns
from integrity.queue.advice import install_command
from integrity.queue.keyed import has_key
from integrity.queue.names import archive_table, queue_table

MOST_READS = 10
UNREAD_ARCHIVE = 100_000  # messages

_HEX_ID: Final = SQL("regexp_replace(lower(q.message->>'chunk_id'), 'urn:|uuid:|[{}-]', '', 'g')")  # as Python reads it
_DEAD: Final = SQL("c.id IS NULL OR c.is_active::text IN ('false', '0')")  # a boolean, or a number


def examine_queue(queue: str, using: str) -> Iterator[Mistake]:
    """Look at a queue; at its messages only where its tables are whole."""
    if None in (_oid(queue_table(queue), using=using), _oid(archive_table(queue), using=using)):
        yield Mistake(
            id="queue.tables",
            message=f"Queue {queue} is in pgmq.meta, and one of its tables is missing.",
            hint=f"Run: SELECT pgmq.create('{queue}'), or delete its row there.",
        )
    elif missing := lacking_columns(queue, using=using):
        message = f"Queue {queue} was made by an older PGMQ: its tables lack columns that the functions need."
        yield Mistake(id="queue.columns", message=message, hint=f"Run: {'; '.join(missing)}.")
    else:
        for check in PER_QUEUE:
            yield from check(queue, using)


def _oid(table: SQL, *, using: str) -> int | None:
    found: int | None = get_rows(using=using).value(SQL("SELECT to_regclass(%s)::oid"), (as_value(table),))
    return found


def dead_jobs(queue: str, using: str) -> Iterator[Mistake]:
    """Jobs whose chunk is missing, or replaced."""
    types = {column.name: column.type for column in get_catalogue(using=using).columns("file_chunks")}
    if "id" not in types:
        return
    is_uuid = types["id"] == "uuid"
    count = get_rows(using=using).value(
        compose(
            """
            SELECT COUNT(*) FROM {table} AS q LEFT JOIN file_chunks AS c ON {id} = {named}
            WHERE q.message->>'chunk_id' IS NOT NULL AND ({dead})
            """,
            table=queue_table(queue),
            id=SQL("replace(c.id::text, '-', '')" if is_uuid else "c.id::text"),
            named=_HEX_ID if is_uuid else SQL("q.message->>'chunk_id'"),
            dead=_DEAD if "is_active" in types else SQL("c.id IS NULL"),
        )
    )
    if count:
        purge = f"Run: {command_for('orphans --purge', queue=queue, using=using)}."
        is_like_ours = is_uuid and types.get("is_active") == "boolean"  # else the command could not ask
        yield Mistake(
            id="queue.dead_jobs",
            message=f"Queue {queue}: {count} jobs name a chunk that is missing or replaced.",
            hint=f"{purge if is_like_ours else 'Archive them.'} Then let deletions cancel their jobs.",
        )


def cycling_jobs(queue: str, using: str) -> Iterator[Mistake]:
    """Messages that are read again and again."""
    count, most = get_rows(using=using).fetch(
        compose(
            "SELECT COUNT(*), MAX(read_ct) FROM {table} WHERE read_ct >= %s",
            table=queue_table(queue),
        ),
        (MOST_READS,),
    )[0]
    if count:
        yield Mistake(
            id="queue.cycling",
            message=f"Queue {queue}: {count} messages were read {MOST_READS} times or more, one of them {most} times.",
            hint="Give failures an end: a dead letter after some attempts, with the reason.",
        )


def unread_archive(queue: str, using: str) -> Iterator[Mistake]:
    """An archive that only grows."""
    estimate = get_rows(using=using).value(
        SQL("""
            SELECT SUM(GREATEST(reltuples, 0))::bigint FROM pg_catalog.pg_class
            WHERE relkind <> 'p'
              AND (oid = to_regclass(%s) OR oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(to_regclass(%s))))
        """),
        (as_value(archive_table(queue)),) * 2,
    )
    if (estimate or 0) >= UNREAD_ARCHIVE:
        yield Mistake(
            id="queue.archive",
            message=f"Queue {queue}: its archive holds about {estimate} messages.",
            hint=f"Read it or remove it: {command_for('retention', queue=queue, using=using)} keeps the last days.",
        )


def silent_archive(queue: str, using: str) -> Iterator[Mistake]:
    """Messages that were archived without a word of why."""
    found = get_rows(using=using).value(
        compose(
            "SELECT EXISTS (SELECT 1 FROM {table} WHERE COALESCE(headers, '{{}}') ->> 'outcome' IS NULL)",
            table=archive_table(queue),
        )
    )
    if found:
        yield Mistake(
            id="queue.no_outcome",
            message=f"Queue {queue}: messages were archived without an outcome, failures like successes.",
            hint="Archive with the outcome in the headers, as this app's workers do.",
        )


def notify_trap(queue: str, using: str) -> Iterator[Mistake]:
    """PGMQ's own notification trigger."""
    found = get_rows(using=using).fetch(
        SQL("""
            SELECT 1 FROM pg_catalog.pg_trigger
            WHERE tgrelid = to_regclass(%s) AND tgname = 'trigger_notify_queue_insert_listeners'
        """),
        (as_value(queue_table(queue)),),
    )
    if found:
        yield Mistake(
            id="queue.notify",
            message=f"Queue {queue}: PGMQ's notification trigger is on. One open transaction that sent a message "
            "blocks every other sender, and after a crash it is silent.",
            hint=f"Run: SELECT pgmq.disable_notify_insert('{queue}'). Notify after the commit instead.",
        )


def unlogged(queue: str, using: str) -> Iterator[Mistake]:
    """A queue that a crash empties."""
    persistence = get_rows(using=using).value(
        SQL("SELECT relpersistence::text FROM pg_catalog.pg_class WHERE oid = to_regclass(%s)"),
        (as_value(queue_table(queue)),),
    )
    if persistence == "u":
        yield Mistake(
            id="queue.unlogged",
            message=f"Queue {queue} is unlogged: a crash of the server empties it.",
            hint=f"Run: ALTER TABLE {as_value(queue_table(queue))} SET LOGGED, or reconcile after every crash.",
        )


def missing_fences(queue: str, using: str) -> Iterator[Mistake]:
    """A queue of embedding jobs in which one chunk can wait twice, or whose jobs cannot be found by file."""
    rows = get_rows(using=using)
    if not rows.value(
        compose(
            "SELECT EXISTS (SELECT 1 FROM {table} WHERE message->>'chunk_id' IS NOT NULL) OR %s",
            table=queue_table(queue),
        ),
        (queue.lower() == job_queue(using=using).name.lower(),),
    ):
        return
    key = job_queue(using=using).key
    if not has_key(queue, key, using=using):
        yield Mistake(
            id="queue.index",
            message=f"Queue {queue} has no unique index on {', '.join(key)}: jobs are sent twice, or sought for long.",
            hint=f"Run: {install_command(using=using, queue=queue)}.",
        )


PER_QUEUE: tuple[Callable[[str, str], Iterator[Mistake]], ...] = (
    dead_jobs,
    cycling_jobs,
    silent_archive,
    unread_archive,
    notify_trap,
    unlogged,
    missing_fences,
)
