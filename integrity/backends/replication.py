"""How far the replicas of a database are behind it."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from django.db import connections

from integrity.backends.postgresql.replication import PostgreSQLReplicas, ReplicasHidden

__all__ = ["Replicas", "ReplicasHidden", "get_replicas"]


class Replicas(Protocol):
    """The replicas that are connected now."""

    def lag(self) -> timedelta:
        """The largest time between a write and its being applied by a replica; zero where there is none.

        Raises:
            ReplicasHidden: there are replicas, and the role may not see how far they are.
        """
        ...


class NoReplicas:
    """A database that knows no replication."""

    def lag(self) -> timedelta:
        return timedelta(0)


def get_replicas(*, using: str) -> Replicas:
    """Return the replicas of a database alias."""
    connection = connections[using]
    return PostgreSQLReplicas(connection) if connection.vendor == "postgresql" else NoReplicas()
