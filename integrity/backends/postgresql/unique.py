"""Uniqueness on PostgreSQL while writers go on: see docs/explanation/constraints-online.md.

Look, guard against new duplicates, remove the old ones, build concurrently, attach, verify, drop the guard. Each
step first finds out what is done already, so that a killed addition is taken up by running it again; one that
fails with an error takes its guard and its broken index away.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from django.db import Error, IntegrityError, models
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity import conf
from integrity.backends.djangosql import CONCURRENTLY, as_index, create_statement, is_table_constraint
from integrity.backends.postgresql import builds
from integrity.backends.postgresql.definition import UniqueIndex, unique_indexes, wanted_index
from integrity.backends.postgresql.guards import Guard, drop_guard, drop_guard_now, dropping
from integrity.backends.postgresql.keys import KeyParts
from integrity.backends.postgresql.partitions import attach_constraint, attaching, build_on_partitions
from integrity.backends.postgresql.preflight import is_partitioned, look, require_possible
from integrity.backends.postgresql.review import review_of
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.postgresql.session import alone, patiently, require_direct_connection, settings
from integrity.backends.sql import SQL, compose, relation
from integrity.backends.uniqueness import NotUnique, Outcome, Review, Say, Wanted
from integrity.exceptions import IntegrityAppError

_TRIES = 3  # builds that meet a duplicate which the guard did not see: one written with triggers switched off
_TOO_LONG = "54000"  # program_limit_exceeded


class PostgreSQLUnique:
    """Adds and removes constraints on one connection, which must not be inside a transaction."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.rows = PostgreSQLRows(connection)

    def add(self, wanted: Wanted, *, say: Say) -> Outcome | None:
        found = wanted_index(model=wanted.model, constraint=wanted.constraint, connection=self.connection)
        if found is None:
            say(f"{wanted.name}: this PostgreSQL has no such constraint; nothing was added, as Django does.")
            return None
        index, key = found
        require_direct_connection(self.connection)
        with alone(self.connection, wanted.name, table=wanted.table):
            return self._add(wanted, index, key, say=say)

    def _add(self, wanted: Wanted, index: UniqueIndex, key: KeyParts, *, say: Say) -> Outcome:
        there = self._equivalent(wanted, index)
        if there is not None and there.name == wanted.name:
            drop_guard(wanted.table, wanted.name, connection=self.connection, say=say)
        if there is not None:
            return Outcome(name=there.name, accepted=True)
        self._require_name_free(wanted, index)
        preflight = look(wanted.table, connection=self.connection)
        for line in preflight.lines():
            say(line)
        require_possible(preflight, key, connection=self.connection)
        wanted.begin()
        addition = _Addition(wanted=wanted, index=index, connection=self.connection, say=say)
        with self._session():
            addition.carry_out(Guard(table=wanted.table, index=index, key=key, connection=self.connection))
        return Outcome(name=wanted.name, accepted=False)

    def remove(self, *, model: type[models.Model], constraint: models.UniqueConstraint, say: Say) -> None:
        table, name = model._meta.db_table, constraint.name
        require_direct_connection(self.connection)
        with alone(self.connection, name, table=table), self._session():
            drop_guard(table, name, connection=self.connection, say=say)
            found = builds.index_named(table, name, connection=self.connection)
            if found is None:
                return
            if found.constraint is None and not is_partitioned(table, connection=self.connection):
                builds.drop(table, name, connection=self.connection)
                return
            template = "DROP INDEX {name}" if found.constraint is None else "ALTER TABLE {table} DROP CONSTRAINT {name}"
            drop = compose(template, table=table, name=name)
            patiently(self.connection, lambda: self.rows.execute(drop), table=table, say=say)

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def review(self, *, model: type[models.Model], constraint: models.UniqueConstraint) -> Review:
        found = wanted_index(model=model, constraint=constraint, connection=self.connection)
        if found is None:
            raise NotUnique(f"This PostgreSQL does not support what {constraint.name} asks for.")
        index, key = found
        if is_partitioned(model._meta.db_table, connection=self.connection):
            raise NotUnique(
                f"{model._meta.db_table!r} is partitioned: its partitions are known at run time only. "
                "Run the command without --sql and --alembic."
            )
        return review_of(model._meta.db_table, index, key, deferral=index.deferral)

    def script(self, *, model: type[models.Model], constraint: models.UniqueConstraint) -> tuple[str, ...]:
        statement = create_statement(model=model, constraint=constraint, connection=self.connection)
        if statement is None:
            return ()
        lines = [f"{as_index(statement, template=CONCURRENTLY) % ()};"]
        if is_table_constraint(statement):
            deferral = f"DEFERRABLE INITIALLY {constraint.deferrable.name}" if constraint.deferrable else ""
            lines.append(f"{(attaching(model._meta.db_table, constraint.name, deferral) % ()).strip()};")
        return tuple(lines)

    def _session(self) -> AbstractContextManager[None]:
        """No time limit for statements, one for locks; a build whose client is gone ends soon after it."""
        milliseconds = round(conf.lock_timeout().total_seconds() * 1000)
        return settings(
            self.connection,
            statement_timeout="0",
            transaction_timeout="0",
            lock_timeout=f"{milliseconds}ms",
            client_connection_check_interval="1s",
        )

    def _equivalent(self, wanted: Wanted, index: UniqueIndex) -> UniqueIndex | None:
        """What enforces the same already; an index of the constraint's own name still has to be attached."""
        for found in unique_indexes(wanted.table, connection=self.connection):
            unattached = found.name == wanted.name and found.constraint is None and index.constraint is not None
            if found.enforces(index) and not unattached:
                return found
        return None

    def _require_name_free(self, wanted: Wanted, index: UniqueIndex) -> None:
        found = builds.index_named(wanted.table, wanted.name, connection=self.connection)
        if found is not None and (found.definition, found.deferral) != (
            index.definition,
            index.deferral if found.constraint else "",
        ):
            raise NotUnique(
                f"{wanted.name!r} on {wanted.table!r} is another one: the database has {found}, the model says "
                f"{index}. Drop or rename it, then run this again."
            )
        if found is None and self._is_taken(wanted):
            raise NotUnique(
                f"The name {wanted.name!r} is taken, by another relation in the schema of {wanted.table!r} or by "
                "another constraint of that table. Choose another name for the constraint."
            )

    def _is_taken(self, wanted: Wanted) -> bool:
        taken = SQL(
            """
            SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c
                           WHERE c.relname = %s AND c.relnamespace = t.relnamespace)
                OR EXISTS (SELECT 1 FROM pg_catalog.pg_constraint AS k WHERE k.conname = %s AND k.conrelid = t.oid)
            FROM pg_catalog.pg_class AS t WHERE t.oid = to_regclass(%s)
            """
        )
        return bool(self.rows.value(taken, (wanted.name, wanted.name, relation(wanted.table))))


@dataclass(frozen=True, kw_only=True)
class _Addition:
    """The steps that change something."""

    wanted: Wanted
    index: UniqueIndex
    connection: BaseDatabaseWrapper
    say: Say

    def carry_out(self, guard: Guard) -> None:
        try:
            guard.set_up(say=self.say)
            self._build_without_duplicates()
            self._close()
        except BaseException as error:
            self._clear_away()
            if getattr(error.__cause__, "sqlstate", None) == _TOO_LONG:
                raise NotUnique(
                    f"A key of {self.wanted.name} is too long for an index: {str(error).splitlines()[0]}. Shorten it, "
                    "or make its hash unique: UniqueConstraint(MD5(...))."
                ) from error
            raise

    def _build_without_duplicates(self) -> None:
        for attempt in range(1, _TRIES + 1):
            self.wanted.remove()
            try:
                self._build()
            except IntegrityError as error:
                if attempt == _TRIES:
                    raise NotUnique(
                        f"Duplicates of {self.wanted.name} came back {_TRIES} times while the index was being built, "
                        "past the guard: somebody writes with triggers off (session_replication_role). Stop that, "
                        f"then run this again. ({str(error).splitlines()[0]})"
                    ) from error
            else:
                return

    def _build(self) -> None:
        table, connection = self.wanted.table, self.connection
        if is_partitioned(table, connection=connection):
            build_on_partitions(table, self.index, connection=connection, say=self.say)
        else:
            builds.build(table, self.index, connection=connection, say=self.say)

    def _close(self) -> None:
        """Attach, verify and drop the guard at one moment, in which the table is locked ACCESS EXCLUSIVE."""
        patiently(self.connection, self._close_now, table=self.wanted.table, say=self.say)

    def _close_now(self) -> None:
        table = self.wanted.table
        attach_constraint(table, self.index, connection=self.connection)
        found = builds.index_named(table, self.wanted.name, connection=self.connection)
        if found != self.index:
            raise NotUnique(f"The model says {self.index}, but what came about is {found}. Please report this.")
        drop_guard_now(table, self.wanted.name, rows=PostgreSQLRows(self.connection))

    def _clear_away(self) -> None:
        """After an error leave neither a guard nor a broken index; what has to stay is told."""
        table, name = self.wanted.table, self.wanted.name
        try:
            drop_guard(table, name, connection=self.connection, say=self.say)
            found = builds.index_named(table, name, connection=self.connection)
            if found is not None and not found.valid and not is_partitioned(table, connection=self.connection):
                builds.drop(table, name, connection=self.connection)
        except (Error, IntegrityAppError, KeyboardInterrupt):
            self.say(
                f"What is there of {name} by now could not be cleared away: a guard, which rejects new duplicates, and "
                "perhaps an unfinished index. Run this again to complete it; or, to give it up, drop them: "
                + dropping(table, name)
            )
