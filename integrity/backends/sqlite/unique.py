"""Uniqueness on SQLite: remove and index in one transaction that holds the write lock from its start.

No other writer can slip in between, so no guard is needed; the table is never rebuilt, so nothing that the model
does not know is lost. Where the owner has the constraint in CREATE TABLE, that is accepted.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity import conf
from integrity.backends.base import Index
from integrity.backends.djangosql import as_index, create_statement
from integrity.backends.sql import SQL, compose
from integrity.backends.sqlite.catalogue import SQLiteCatalogue
from integrity.backends.sqlite.ddl import tokens
from integrity.backends.sqlite.rows import SQLiteRows
from integrity.backends.uniqueness import NotUnique, Outcome, Review, Say, Wanted


class SQLiteUnique:
    """``CREATE UNIQUE INDEX`` under the constraint's name."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.rows = SQLiteRows(connection)
        self.catalogue = SQLiteCatalogue(connection)

    def add(self, wanted: Wanted, *, say: Say) -> Outcome | None:
        statement = create_statement(model=wanted.model, constraint=wanted.constraint, connection=self.connection)
        if statement is None:
            say(f"{wanted.name}: SQLite has no such constraint; nothing was added, as Django does.")
            return None
        sql = as_index(statement)
        with self.together():
            found = self._equivalent(wanted, sql)
            if found is not None:
                return Outcome(name=found.name, accepted=True)
            self._require_name_free(wanted)
            wanted.begin()
            wanted.remove()
            self.rows.execute(sql)
            if self._equivalent(wanted, sql) is None:
                raise NotUnique(f"The index {wanted.name} did not come out as the model has it. Please report this.")
        return Outcome(name=wanted.name, accepted=False)

    def remove(self, *, model: type[models.Model], constraint: models.UniqueConstraint, say: Say) -> None:
        for index in self.catalogue.indexes(model._meta.db_table):
            if index.name == constraint.name and not index.constraint:
                with self.together():
                    self.rows.execute(compose("DROP INDEX IF EXISTS {name}", name=constraint.name))

    def together(self) -> AbstractContextManager[None]:
        return self.rows.batch(lock_timeout=conf.lock_timeout())

    def review(self, *, model: type[models.Model], constraint: models.UniqueConstraint) -> Review:
        raise NotUnique(
            "On SQLite the whole addition is one statement; no script is needed: "
            + " ".join(self.script(model=model, constraint=constraint))
        )

    def script(self, *, model: type[models.Model], constraint: models.UniqueConstraint) -> tuple[str, ...]:
        statement = create_statement(model=model, constraint=constraint, connection=self.connection)
        return () if statement is None else (f"{as_index(statement) % ()};",)

    def _equivalent(self, wanted: Wanted, sql: SQL) -> Index | None:
        """A unique index that enforces the same.

        Raises:
            NotUnique: an index has the constraint's name and enforces something else.
        """
        for index in self.catalogue.indexes(wanted.table):
            if self._enforces(index, wanted, sql):
                return index
            if index.name.lower() == wanted.name.lower():
                raise NotUnique(
                    f"There is an index {index.name!r} on {wanted.table!r} already, and it is another one: "
                    f"{index.definition or index.columns}. The model says: {sql % ()}. "
                    "Drop or rename it, then run again."
                )
        return None

    def _require_name_free(self, wanted: Wanted) -> None:
        taken = SQL("SELECT type, tbl_name FROM sqlite_master WHERE lower(name) = lower(%s)")
        for kind, table in self.rows.fetch(taken, (wanted.name,)):
            raise NotUnique(
                f"The name {wanted.name!r} is taken, by the {kind} of that name on {table!r}. "
                "Choose another name for the constraint."
            )

    def _enforces(self, index: Index, wanted: Wanted, sql: SQL) -> bool:
        """Whether statement or columns say the same; an index of CREATE TABLE's own has no statement."""
        if not index.unique or index.primary:
            return False
        if index.definition and _after_table(index.definition) == _after_table(sql % ()):
            return True
        constraint = wanted.constraint
        mere_columns = not constraint.expressions and constraint.condition is None and index.predicate is None
        return mere_columns and self._columns(index) == self._wanted_columns(wanted)

    def _columns(self, index: Index) -> tuple[tuple[str | None, str], ...]:
        """Its columns with their collations, None for an expression."""
        keys = self.rows.fetch(
            SQL("SELECT lower(name), lower(coll) FROM pragma_index_xinfo(%s) WHERE key ORDER BY seqno"), (index.name,)
        )
        return tuple((name, collation) for name, collation in keys)

    def _wanted_columns(self, wanted: Wanted) -> tuple[tuple[str, str], ...]:
        fields: list[Any] = [wanted.model._meta.get_field(name) for name in wanted.constraint.fields]
        names = [field.column.lower() for field in fields]
        collations = self._collations(wanted.table)
        return tuple((name, collations.get(name, "binary")) for name in names)

    def _collations(self, table: str) -> dict[str, str]:
        """The collation of each column that has one of its own: the text of CREATE TABLE alone knows."""
        found = self.rows.fetch(SQL("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = %s"), (table,))
        columns = re.findall(
            r"""["`\[]?(\w+)["`\]]?\s[^,]*?\bCOLLATE\s+["']?(\w+)""", found[0][0] if found else "", re.I
        )
        return {name.lower(): collation.lower() for name, collation in columns}


def _after_table(statement: str) -> list[str]:
    """The tokens after ``ON table`` in CREATE INDEX; names without regard to case and quotes, literals as they are."""
    pieces = tokens(statement)
    return [
        piece if piece.startswith("'") else piece.strip('"').lower()
        for piece in pieces[pieces.index("(") :]
        if not piece.isspace()
    ]
