"""The numbers of messages, where a queue has begun to count anew.

An unlogged one does once a crash has emptied it; any other after TRUNCATE ... RESTART IDENTITY, or where it was
restored without its sequence. Its archive remembers the old numbers and refuses them: nobody could ever archive such
a message.
"""

from __future__ import annotations

from integrity.backends.sql import SQL, as_value, compose
from integrity.queue.client import Queue


def count_on(queue: Queue) -> int:
    """Let a queue count on from its archive; return how many messages got new numbers.

    The count is left as it is where the role may not read the queue's sequence. Locks those messages in order of
    ``msg_id``; whoever holds one finds its lease gone.
    """
    behind = queue.rows.fetch(
        compose(
            """
            SELECT name, highest
            FROM (SELECT pg_get_serial_sequence(%s, 'msg_id') AS name) AS sequence,
                 (SELECT MAX(msg_id) AS highest FROM {archived}) AS numbers
            WHERE CASE WHEN has_sequence_privilege(name, 'SELECT')
                       THEN COALESCE(pg_sequence_last_value(name::regclass), 0) < highest END
            """,
            archived=queue.archived,
        ),
        (as_value(queue.table),),
    )
    for sequence in behind:
        queue.rows.fetch(SQL("SELECT setval(%s::regclass, %s::bigint)"), sequence)
    # Whether it is behind or not: it may have caught up by now.
    return queue.rows.execute(
        compose(
            """
            UPDATE {table} SET msg_id = DEFAULT WHERE msg_id = ANY(ARRAY(
                SELECT q.msg_id FROM {table} AS q JOIN {archived} AS a USING (msg_id)
                ORDER BY q.msg_id FOR UPDATE OF q
            ))
            """,
            table=queue.table,
            archived=queue.archived,
        )
    )
