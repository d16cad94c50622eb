"""Build a unique index concurrently, watched from a second connection, and clear what a broken build left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql.blockers import snapshot_holders
from integrity.backends.postgresql.definition import UniqueIndex, beside, unique_indexes
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.postgresql.session import settings
from integrity.backends.sql import SQL, compose, relation
from integrity.backends.uniqueness import NotUnique, Say

_EVERY = 5.0  # seconds between two lines of progress


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBuild:
    """A line of ``pg_stat_progress_create_index``; blocks or tuples ``done`` of ``total``."""

    pid: int
    index: str
    phase: str
    done: int
    total: int

    def __str__(self) -> str:
        share = f", {100 * self.done // self.total} %" if self.total else ""
        return f"{self.index}: {self.phase}{share}"


def running_builds(table: str, *, connection: BaseDatabaseWrapper) -> tuple[RunningBuild, ...]:
    """Return what is being built on a table or its partitions, by whomever."""
    found = PostgreSQLRows(connection).fetch(
        SQL(
            """
            SELECT b.pid, COALESCE(c.relname, '?'), b.phase, GREATEST(b.blocks_done, b.tuples_done),
                   CASE WHEN b.blocks_done >= b.tuples_done THEN b.blocks_total ELSE b.tuples_total END
            FROM pg_catalog.pg_stat_progress_create_index AS b
            LEFT JOIN pg_catalog.pg_class AS c ON c.oid = b.index_relid
            WHERE b.datname = current_database() AND (b.relid = to_regclass(%s)
                OR b.relid IN (SELECT relid FROM pg_catalog.pg_partition_tree(to_regclass(%s))))
            """
        ),
        (relation(table),) * 2,
    )
    return tuple(
        RunningBuild(pid=pid, index=index, phase=phase, done=done, total=total)
        for pid, index, phase, done, total in found
    )


def build(table: str, index: UniqueIndex, *, connection: BaseDatabaseWrapper, say: Say) -> None:
    """Build the index under its name unless it is there; a broken one of that name is dropped first.

    Takes SHARE UPDATE EXCLUSIVE on the table and waits for older snapshots, as long as it takes.

    Raises:
        NotUnique: another index has the name.
        IntegrityError: there are duplicates; the index stays behind, broken.
    """
    found = index_named(table, index.name, connection=connection)
    if found is not None:
        if found.definition != index.definition:
            raise NotUnique(
                f"There is a {found} named {found.name!r} on {table!r} already, and the model says: {index}. "
                "Drop or rename it, then run this again."
            )
        if found.valid:
            return
        say(f"dropping what a build that was cut short left of {index.name}")
        drop(table, found.name, connection=connection)
    with settings(connection, lock_timeout="0"), _watched(table, connection=connection, say=say):
        PostgreSQLRows(connection).execute(
            compose(
                "CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} USING {definition}",
                name=index.name,
                table=table,
                definition=SQL(index.definition.replace("%", "%%")),
            )
        )


def index_named(table: str, name: str, *, connection: BaseDatabaseWrapper) -> UniqueIndex | None:
    """Return the table's unique index of that name, valid or not."""
    return next((index for index in unique_indexes(table, connection=connection) if index.name == name), None)


def drop(table: str, name: str, *, connection: BaseDatabaseWrapper) -> None:
    """Drop an index that no constraint owns, if it is there; waits for transactions that use it."""
    with settings(connection, lock_timeout="0"):
        PostgreSQLRows(connection).execute(
            compose("DROP INDEX CONCURRENTLY IF EXISTS {name}", name=beside(table, name))
        )


@contextmanager
def _watched(table: str, *, connection: BaseDatabaseWrapper, say: Say) -> Iterator[None]:
    """Say from a thread, every few seconds, how far the builds on a table have come and whom they wait for."""
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(table, connection, say, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _watch(table: str, connection: BaseDatabaseWrapper, say: Say, ended: threading.Event) -> None:
    own = connection.copy()
    try:
        while not ended.wait(_EVERY):
            for running in running_builds(table, connection=own):
                say(f"building {running}")
                if running.phase.startswith("waiting"):
                    for session in snapshot_holders(connection=own):
                        if session.pid != running.pid:
                            say(f"  waiting for {session}")
    except DatabaseError as error:
        say(f"progress cannot be shown: {error}")  # the build itself is not touched by that
    finally:
        own.close()
