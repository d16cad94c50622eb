"""What a database's error means to the person at the terminal: what happened, on one line, and what to do next."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from integrity.backends.fault import Fault, words
from integrity.backends.postgresql import faults as postgresql
from integrity.backends.sqlite import faults as sqlite

_EXPLAIN = {"postgresql": postgresql.explain, "sqlite": sqlite.explain}


def explain(error: DatabaseError | InterfaceError, *, using: str) -> Fault | None:
    """Explain an error that the surroundings caused; None for one that is a fault of the program.

    Asks the catalogue which privilege is lacking, on a connection outside any transaction.
    """
    connection = connections[using]
    fault = _EXPLAIN[connection.vendor](error, connection) if connection.vendor in _EXPLAIN else None
    if fault is None and isinstance(error, (OperationalError, InterfaceError)):
        return Fault(message=f"Database {using!r} stopped the work: {words(error)}", interrupted=True)
    return fault


def of_the_surroundings(error: DatabaseError) -> bool:
    """Whether something was lacking that no row has to do with: room, memory, a lock, a privilege."""
    return (getattr(error.__cause__, "sqlstate", None) or "").startswith(postgresql.SURROUNDINGS)


def lacks_operation(error: DatabaseError) -> bool:
    """Whether a column's type has no such operator or function: in PostgreSQL, json no equality, text no elements."""
    return getattr(error.__cause__, "sqlstate", None) in postgresql.NO_OPERATION
