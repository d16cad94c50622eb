"""Who stands in the way: sessions that hold a lock on a table, or a snapshot that a concurrent build waits for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.sql import SQL, relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session of the server; ``age`` is that of its transaction."""

    pid: int
    user: str
    state: str
    age: timedelta
    query: str

    def __str__(self) -> str:
        query = " ".join(self.query.split())[:80] or "(not shown to this role)"
        seconds = self.age.total_seconds()
        return f"pid {self.pid} ({self.user}, {self.state}, for {seconds:.1f} s): {query}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTransaction:
    """A transaction that no session has any more, and that holds its locks until somebody ends it."""

    gid: str
    user: str
    age: timedelta

    def __str__(self) -> str:
        return (
            f"prepared transaction {self.gid!r} ({self.user}, for {self.age.total_seconds():.1f} s), which COMMIT "
            "PREPARED or ROLLBACK PREPARED ends"
        )


_SESSION = """
    a.pid, COALESCE(a.usename, '?'), COALESCE(a.state, '?'),
    COALESCE(clock_timestamp() - COALESCE(a.xact_start, a.query_start), interval '0'), COALESCE(a.query, '')
"""


def lock_holders(table: str, *, connection: BaseDatabaseWrapper) -> tuple[Session | PreparedTransaction, ...]:
    """Return who holds a lock on the table, other than this session: prepared transactions, then the longest first."""
    prepared = PostgreSQLRows(connection).fetch(
        SQL(
            """
            SELECT p.gid, p.owner::text, clock_timestamp() - p.prepared
            FROM pg_catalog.pg_prepared_xacts AS p
            WHERE EXISTS (
                SELECT 1 FROM pg_catalog.pg_locks AS own
                JOIN pg_catalog.pg_locks AS l ON l.pid IS NULL AND l.virtualtransaction = own.virtualtransaction
                WHERE own.pid IS NULL AND own.transactionid = p.transaction
                  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
                  AND l.relation = to_regclass(%s)
            )
            ORDER BY 3 DESC
            """
        ),
        (relation(table),),
    )
    sessions = _sessions(
        connection,
        f"""
        SELECT {_SESSION} FROM pg_catalog.pg_stat_activity AS a
        WHERE a.pid <> pg_backend_pid() AND EXISTS (
            SELECT 1 FROM pg_catalog.pg_locks AS l
            WHERE l.pid = a.pid AND l.granted AND l.relation = to_regclass(%s)
        ) ORDER BY 4 DESC
        """,  # noqa: S608 - a constant of this file
        relation(table),
    )
    return (*(PreparedTransaction(gid=gid, user=user, age=age) for gid, user, age in prepared), *sessions)


def snapshot_holders(*, connection: BaseDatabaseWrapper) -> tuple[Session, ...]:
    """Return the sessions of this database whose transactions a concurrent build has to wait for, longest first."""
    return _sessions(
        connection,
        f"""
        SELECT {_SESSION} FROM pg_catalog.pg_stat_activity AS a
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
          AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
          AND a.backend_type = 'client backend' ORDER BY 4 DESC
        """,  # noqa: S608 - a constant of this file
    )


def _sessions(connection: BaseDatabaseWrapper, statement: str, *params: str) -> tuple[Session, ...]:
    found = PostgreSQLRows(connection).fetch(SQL(statement), params)
    return tuple(Session(pid=pid, user=user, state=state, age=age, query=q) for pid, user, state, age, q in found)
