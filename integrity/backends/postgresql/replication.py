"""Streaming replicas, as ``pg_stat_replication`` shows them."""

from __future__ import annotations

from datetime import timedelta

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.sql import SQL
from integrity.exceptions import IntegrityAppError


class ReplicasHidden(IntegrityAppError):
    """There are replicas, and the role may not see how far they are."""


class PostgreSQLReplicas:
    """Asks one connection."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.rows = PostgreSQLRows(connection)

    def lag(self) -> timedelta:
        # A replica that has caught up on an idle server shows no lag; a role without the privilege no state either.
        hidden, lag = self.rows.fetch(
            SQL(
                "SELECT COUNT(*) FILTER (WHERE state IS NULL), COALESCE(MAX(replay_lag), INTERVAL '0') "
                "FROM pg_catalog.pg_stat_replication"
            )
        )[0]
        if hidden:
            raise ReplicasHidden(
                "The server has replicas, but this role may not see how far behind they are. "
                "GRANT pg_monitor to it, or leave --max-lag out."
            )
        return timedelta(seconds=lag.total_seconds())
