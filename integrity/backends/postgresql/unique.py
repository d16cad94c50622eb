"""Uniqueness on PostgreSQL while writers go on: see docs/explanation/constraints-online.md."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.djangosql import CONCURRENTLY, as_index, create_statement, is_table_constraint
from integrity.backends.postgresql.definition import UniqueIndex, unique_indexes, wanted_index
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.postgresql.session import patiently, require_direct_connection, settings
from integrity.backends.sql import SQL, compose
from integrity.backends.uniqueness import NotUnique, Outcome, Say, Wanted


class PostgreSQLUnique:
    """Guard, remove, build concurrently, attach, verify; each step finds out what is done already."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.rows = PostgreSQLRows(connection)

    def add(self, wanted: Wanted, *, say: Say) -> Outcome | None:
        index = wanted_index(model=wanted.model, constraint=wanted.constraint, connection=self.connection)
        if index is None:
            say(f"{wanted.name}: this PostgreSQL has no such constraint; nothing was added, as Django does.")
            return None
        require_direct_connection(self.connection)
        accepted = self._accepted(wanted, index)
        if accepted is not None:
            return Outcome(name=accepted.name, accepted=True)
        wanted.begin()
        with settings(self.connection, statement_timeout="0", transaction_timeout="0"):
            wanted.remove()
            self._build(wanted, index)
            self._attach(wanted, index, say=say)
        self._verify(wanted, index)
        return Outcome(name=wanted.name, accepted=False)

    def remove(self, *, model: type[models.Model], constraint: models.UniqueConstraint, say: Say) -> None:
        table = model._meta.db_table
        found = self._named(table, constraint.name)
        if found is None:
            return
        if found.constraint is None:
            self._drop_index(found.name)
            return
        drop = compose("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}", table=table, name=constraint.name)
        patiently(self.connection, lambda: self.rows.execute(drop), table=table, say=say)

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def script(self, *, model: type[models.Model], constraint: models.UniqueConstraint) -> tuple[str, ...]:
        statement = create_statement(model=model, constraint=constraint, connection=self.connection)
        if statement is None:
            return ()
        lines = [f"{as_index(statement, template=CONCURRENTLY) % ()};"]
        if is_table_constraint(statement):
            lines.append(f"{self._attaching(model._meta.db_table, constraint.name, _deferral(constraint)) % ()};")
        return tuple(lines)

    def _named(self, table: str, name: str) -> UniqueIndex | None:
        found = unique_indexes(table, connection=self.connection)
        return next((index for index in found if index.name == name), None)

    def _accepted(self, wanted: Wanted, index: UniqueIndex) -> UniqueIndex | None:
        found = unique_indexes(wanted.table, connection=self.connection)
        for one in found:
            unattached = one.name == wanted.name and (one.constraint is None) != (index.constraint is None)
            if one.enforces(index) and not unattached:
                return one
        return None

    def _build(self, wanted: Wanted, index: UniqueIndex) -> None:
        found = self._named(wanted.table, wanted.name)
        if found is not None:
            if found.definition != index.definition or found.constraint is not None:
                raise NotUnique(
                    f"There is a {found} named {found.name!r} on {wanted.table!r} already, and the model says: {index}. "
                    "Drop or rename it, then run again."
                )
            if found.valid:
                return
            self._drop_index(found.name)
        with settings(self.connection, lock_timeout="0"):
            self.rows.execute(
                compose(
                    "CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} USING {definition}",
                    name=wanted.name,
                    table=wanted.table,
                    definition=SQL(index.definition.replace("%", "%%")),
                )
            )

    def _drop_index(self, name: str) -> None:
        with settings(self.connection, lock_timeout="0"):
            self.rows.execute(compose("DROP INDEX CONCURRENTLY IF EXISTS {name}", name=name))

    def _attach(self, wanted: Wanted, index: UniqueIndex, *, say: Say) -> None:
        if index.constraint is None:
            return
        attach = self._attaching(wanted.table, wanted.name, index.deferral)
        patiently(self.connection, lambda: self.rows.execute(attach), table=wanted.table, say=say)

    def _attaching(self, table: str, name: str, deferral: str) -> SQL:
        return compose(
            "ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name} {deferral}",
            table=table,
            name=name,
            deferral=SQL(deferral),
        )

    def _verify(self, wanted: Wanted, index: UniqueIndex) -> None:
        found = self._named(wanted.table, wanted.name)
        if (
            found is None
            or not found.valid
            or (found.definition, found.constraint) != (index.definition, index.constraint)
        ):
            raise NotUnique(f"The model says {index}, but the database now has {found}. Please report this.")


def _deferral(constraint: models.UniqueConstraint) -> str:
    return "" if constraint.deferrable is None else f"DEFERRABLE INITIALLY {constraint.deferrable.name}"
