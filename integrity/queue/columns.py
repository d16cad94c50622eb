"""Columns that a queue's tables lack, where PGMQ is newer than the queue."""

from __future__ import annotations

from integrity.backends import get_rows
from integrity.backends.sql import SQL, as_value
from integrity.queue.names import archive_table, queue_table


def lacking_columns(queue: str, *, using: str) -> list[str]:
    """Return the statements that add what PGMQ's functions, or our outcomes, need; none where nothing is missing.

    The functions may be newer than the tables, since only PGMQ's extension brings statements that change those.
    """
    found = get_rows(using=using).fetch(
        SQL("""
            SELECT format('ALTER TABLE %%s ADD COLUMN %%I %%s', t.name, a.attname, format_type(atttypid, atttypmod))
            FROM (VALUES (%s, TRUE), (%s, FALSE)) AS t (name, is_read) CROSS JOIN pg_catalog.pg_attribute AS a
            WHERE a.attrelid = to_regclass('pgmq.message_record') AND a.attnum > 0 AND NOT a.attisdropped
              AND (t.is_read OR a.attname = 'headers')
              AND NOT EXISTS (
                  SELECT 1 FROM pg_catalog.pg_attribute AS own
                  WHERE own.attrelid = to_regclass(t.name) AND own.attname = a.attname AND NOT own.attisdropped
              )
            ORDER BY t.is_read DESC, a.attnum
        """),
        (as_value(queue_table(queue)), as_value(archive_table(queue))),
    )
    return [statement for (statement,) in found]
