"""One look at a whole database."""

from __future__ import annotations

from integrity.backends import get_rows
from integrity.backends.sql import SQL
from integrity.pipeline.doctor.database import PER_DATABASE
from integrity.pipeline.doctor.mistake import Mistake
from integrity.pipeline.doctor.queues import examine_queue
from integrity.queue.install import require_installation


def examine(*, using: str) -> list[Mistake]:
    """Return the mistakes of every queue in the database, and of the tables behind the jobs.

    Raises:
        PgmqMissing: there is no PGMQ to look at.
        UnsupportedDatabase: it is not PostgreSQL.
    """
    require_installation(using=using)
    rows = get_rows(using=using)
    names = [name for (name,) in rows.fetch(SQL("SELECT queue_name::text FROM pgmq.meta ORDER BY 1"))]
    found = [mistake for name in names for mistake in examine_queue(name, using)]
    return found + [mistake for check in PER_DATABASE for mistake in check(using)]
