"""One database with PGMQ that many tests use in turn, emptied between them: a copy for each would take longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from integrity.queue import install
from tests.databases import Database, as_default

_EMPTIED = (
    "course_files, file_chunks, file_embeddings, "
    "integrity_file_state, integrity_dead_letter, integrity_breaker, integrity_chore"
)


@contextmanager
def emptied(database: Database) -> Iterator[Database]:
    """Point Django at the database, with no row in the pipeline's tables and no queue."""
    with as_default(database):
        install(using="default")
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {_EMPTIED}")
            cursor.execute("SELECT pgmq.drop_queue(queue_name::text) FROM pgmq.meta")
        yield database
