"""A queue whose messages are changed under their lease, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from integrity.backends.sql import SQL, columns, compose
from integrity.queue.client import Queue
from integrity.queue.leases import Lease, Return, arrays
from integrity.queue.message import json_text

HEADERS = SQL("CASE jsonb_typeof(q.headers) WHEN 'object' THEN q.headers ELSE '{}' END")  # whoever wrote them
COPIED = ("msg_id", "read_ct", "enqueued_at", "vt", "message")  # what the archive has in every version of PGMQ


@dataclass(frozen=True, kw_only=True)
class LeasedQueue(Queue):
    """A PGMQ queue and what PGMQ lacks: a late reader cannot change what a later one holds."""

    def archive_leased(self, leases: Sequence[Lease], *, outcome: str) -> list[int]:
        """Archive those of these messages whose lease still holds, with the outcome in their headers.

        Returns the ``msg_id`` of those archived. Locks the messages in order of ``msg_id``.
        """
        if not leases:
            return []
        return self.archive_where(
            compose(
                """
                SELECT q.msg_id, %s::text FROM {table} AS q
                JOIN unnest(%s::bigint[], %s::integer[]) AS mine (msg_id, read_ct) USING (msg_id, read_ct)
                ORDER BY q.msg_id FOR UPDATE OF q
                """,
                table=self.table,
            ),
            (outcome, *arrays(leases)),
        )

    def set_outcome(self, msg_ids: Sequence[int], *, outcome: str) -> None:
        """Correct the outcome of messages that this very transaction has archived."""
        self.rows.execute(
            compose(
                "UPDATE {archived} SET headers = headers || jsonb_build_object('outcome', %s::text) "
                "WHERE msg_id = ANY(%s::bigint[])",
                archived=self.archived,
            ),
            (outcome, list(msg_ids)),
        )

    def extend(self, leases: Sequence[Lease], *, vt: timedelta) -> int:
        """Hide messages for ``vt`` from now on while their lease holds; return how many.

        Messages that somebody else is archiving at this moment are passed over: waiting for them could deadlock.
        """
        return self.rows.execute(
            compose(
                """
                UPDATE {table} AS q SET vt = GREATEST(q.vt, clock_timestamp() + %s::interval)
                WHERE q.msg_id = ANY(ARRAY(
                    SELECT q.msg_id FROM {table} AS q
                    JOIN unnest(%s::bigint[], %s::integer[]) AS mine (msg_id, read_ct) USING (msg_id, read_ct)
                    ORDER BY q.msg_id FOR UPDATE OF q SKIP LOCKED
                ))
                """,
                table=self.table,
            ),
            (vt, *arrays(leases)),
        )

    def give_back(self, returns: Sequence[Return]) -> int:
        """Let others read these messages after their delay, if the lease still holds; return how many."""
        if not returns:
            return 0
        return self.rows.execute(
            compose(
                """
                WITH given AS MATERIALIZED (
                    SELECT q.msg_id, mine.delay, mine.headers FROM {table} AS q
                    JOIN unnest(%s::bigint[], %s::integer[], %s::interval[], %s::jsonb[])
                         AS mine (msg_id, read_ct, delay, headers) USING (msg_id, read_ct)
                    ORDER BY q.msg_id FOR UPDATE OF q SKIP LOCKED
                )
                UPDATE {table} AS q
                SET vt = clock_timestamp() + given.delay, headers = {headers} || given.headers
                FROM given WHERE q.msg_id = given.msg_id
                """,
                table=self.table,
                headers=HEADERS,
            ),
            (
                *arrays([item.lease for item in returns]),
                [item.delay for item in returns],
                [json_text(item.headers) for item in returns],
            ),
        )

    def archive_where(self, chosen: SQL, params: Sequence[Any]) -> list[int]:
        """Archive the messages that a query yields as ``msg_id, outcome`` and locks in order of ``msg_id``."""
        # By msg_id and not by ctid: a heartbeat may have moved the row after this statement's snapshot was taken.
        found = self.rows.fetch(
            compose(
                """
                WITH chosen (msg_id, outcome) AS MATERIALIZED ({chosen}), gone AS (
                    DELETE FROM {table} AS q USING chosen WHERE q.msg_id = chosen.msg_id
                    RETURNING {q_names}, {headers} || jsonb_build_object('outcome', chosen.outcome)
                )
                INSERT INTO {archived} ({names}, headers) SELECT * FROM gone RETURNING msg_id
                """,
                table=self.table,
                archived=self.archived,
                headers=HEADERS,
                chosen=chosen,
                q_names=columns(COPIED, of="q"),
                names=columns(COPIED),
            ),
            params,
        )
        return [msg_id for (msg_id,) in found]
