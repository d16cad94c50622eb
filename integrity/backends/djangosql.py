"""The SQL that Django itself would use for a constraint, to be read, renamed or built in another way."""

from __future__ import annotations

from typing import Any, cast

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.ddl_references import Statement

from integrity.backends.sql import SQL

INDEX = "CREATE UNIQUE INDEX %(name)s ON %(table)s (%(columns)s)%(include)s%(nulls_distinct)s%(condition)s"
CONCURRENTLY = INDEX.replace(" INDEX ", " INDEX CONCURRENTLY ")


def create_statement(
    *, model: type[models.Model], constraint: models.UniqueConstraint, connection: BaseDatabaseWrapper
) -> Statement | None:
    """Return the statement of Django's ``AddConstraint``; None where the database does not support it."""
    editor: Any = connection.schema_editor(collect_sql=True, atomic=False)
    return cast("Statement | None", constraint.create_sql(model, editor))  # the stubs say str


def is_table_constraint(statement: Statement) -> bool:
    """Whether Django makes a constraint of the table, not merely a unique index."""
    return str(statement.template).startswith("ALTER TABLE")


def as_index(statement: Statement, *, template: str = INDEX) -> SQL:
    """Return the same uniqueness as the statement of an index."""
    return raw(str(Statement(template, **statement.parts)))


def raw(statement: object) -> SQL:
    """Let text that is complete stand in a statement that is executed with parameters."""
    return SQL(str(statement).replace("%", "%%"))
