"""Timeouts that hold for one step and are put back, and locks that are waited for briefly, again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity import conf
from integrity.backends.postgresql.blockers import lock_holders
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.sql import SQL
from integrity.backends.uniqueness import Say
from integrity.exceptions import IntegrityAppError

_FIRST_WAIT = timedelta(milliseconds=25)
_TRIES = 20
_LONGEST_PAUSE = timedelta(seconds=2)
_BETWEEN_CLAIMS = timedelta(milliseconds=150)
_MAY_PASS = ("55P03", "40P01")  # lock_not_available, deadlock_detected

T = TypeVar("T")


class LockNotFree(IntegrityAppError):
    """Others held a lock on the table for too long."""


class AlreadyAtWork(IntegrityAppError):
    """Another process adds or removes the same constraint."""


class PoolerInTheWay(IntegrityAppError):
    """Statements of one connection go to different sessions of the server."""


@contextmanager
def settings(connection: BaseDatabaseWrapper, **wanted: str) -> Iterator[None]:
    """Give the session these settings, and its own back whatever happens; unknown ones are left out.

    Raises:
        PoolerInTheWay: outside of a transaction, a pooler might give them to other sessions.
    """
    if not connection.in_atomic_block:
        require_direct_connection(connection)
    before = {name: _setting(connection, name) for name in wanted}
    known = {name: value for name, value in before.items() if value is not None}
    try:
        for name in known:
            _set(connection, name, wanted[name])
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            _restore(connection, known)


def _restore(connection: BaseDatabaseWrapper, values: dict[str, str]) -> None:
    for name, value in values.items():
        try:
            _set(connection, name, value)
        except DatabaseError:
            return  # the session has ended, and its settings with it


def _setting(connection: BaseDatabaseWrapper, name: str) -> str | None:
    value = PostgreSQLRows(connection).value(SQL("SELECT current_setting(%s, TRUE)"), (name,))
    return None if value is None else str(value)


def _set(connection: BaseDatabaseWrapper, name: str, value: str) -> None:
    PostgreSQLRows(connection).execute(SQL("SELECT set_config(%s, %s, FALSE)"), (name, value))


def is_direct(connection: BaseDatabaseWrapper) -> bool:
    """Whether the server session is the connection's own: a pooler gives it the number of another process."""
    ours: Any = PostgreSQLRows(connection).value(SQL("SELECT pg_backend_pid()"))
    return bool(connection.connection.info.backend_pid == ours)


def require_direct_connection(connection: BaseDatabaseWrapper) -> None:
    """Check that the server session is the connection's own.

    Raises:
        PoolerInTheWay: it is not.
    """
    if not is_direct(connection):
        raise PoolerInTheWay(
            "This connection goes through a pooler such as PgBouncer, where timeouts and locks end up in other "
            "people's sessions. Connect to PostgreSQL directly for this."
        )


@contextmanager
def alone(connection: BaseDatabaseWrapper, name: str, *, table: str) -> Iterator[None]:
    """Keep other processes from working on the constraint of that name; one that dies lets go of it.

    Needs a direct connection.

    Raises:
        AlreadyAtWork: another process works on it, and did not end while it was waited for.
    """
    rows, key = PostgreSQLRows(connection), (f"{table}.{name}",)
    claim = SQL("SELECT pg_try_advisory_lock(hashtext('integrity'), hashtext(%s))")
    for _ in range(_TRIES):  # a server process outlives its killed client by client_connection_check_interval
        if rows.value(claim, key):
            break
        time.sleep(_BETWEEN_CLAIMS.total_seconds())  # outside of any statement: nobody's build waits for this
    else:
        raise AlreadyAtWork(
            f"Another process is at {name!r} of {table!r} just now. Wait until it has ended, then run this again."
        )
    try:
        yield
    finally:
        with suppress(DatabaseError, InterfaceError):  # the session has ended, and its locks with it
            rows.execute(SQL("SELECT pg_advisory_unlock(hashtext('integrity'), hashtext(%s))"), key)


def patiently(
    connection: BaseDatabaseWrapper,
    step: Callable[[], T],
    *,
    table: str,
    say: Say,
    longest_wait: timedelta | None = None,
) -> T:
    """Run a step in a transaction of its own; while a lock is not free, let others pass and try again.

    The first waits are short, because writers queue behind them; none is longer than ``longest_wait``, by default
    ``INTEGRITY_LOCK_TIMEOUT``.

    Raises:
        LockNotFree: the last try failed like the first.
    """
    longest_wait = longest_wait or conf.lock_timeout()
    wait = min(_FIRST_WAIT, longest_wait)
    for attempt in range(1, _TRIES + 1):
        try:
            with PostgreSQLRows(connection).batch(lock_timeout=wait):
                return step()
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") not in _MAY_PASS:
                raise
            holders = lock_holders(table, connection=connection)
            if attempt == _TRIES:
                raise LockNotFree(_message(table, holders)) from error
            if holders:
                say(f"waiting for a lock on {table}, held by {'; '.join(map(str, holders[:3]))}")
            time.sleep(min(_FIRST_WAIT * 2**attempt, _LONGEST_PAUSE).total_seconds())
            wait = min(wait * 2, longest_wait)
    raise AssertionError("unreachable")


def _message(table: str, holders: tuple[Any, ...]) -> str:
    who = "\n".join(dict.fromkeys(f"  {holder}" for holder in holders)) or "  (they are gone by now)"
    return (
        f"The lock on {table!r} was not free in {_TRIES} tries. Held by:\n{who}\n"
        "This step has changed nothing. End those transactions, or wait for them, and run this again."
    )
