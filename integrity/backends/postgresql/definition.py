"""How PostgreSQL itself writes a unique index: the form in which wanted and found can be compared.

Note [Asking an empty copy]
Django's own statement is run on an empty temporary table shaped like the real one, and the catalogue is then
asked how it understood it. Casts, schema names, default operator classes and collations come out as PostgreSQL
writes them, so that "is this the same?" is a comparison of two strings made by the same server. The copy is gone
with the transaction; the table itself is locked with ACCESS SHARE only.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import NotSupportedError, ProgrammingError, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.ddl_references import Statement

from integrity.backends.djangosql import create_statement, raw
from integrity.backends.postgresql.keys import KeyParts, key_parts
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.sql import SQL, compose, relation
from integrity.backends.uniqueness import NotUnique

_COPY = "integrity_copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class UniqueIndex:
    """A unique index of one table."""

    name: str
    definition: str
    """All that ``pg_get_indexdef`` says after ``USING``: method, columns, classes, INCLUDE, NULLS, WHERE."""
    constraint: str | None
    """What ``pg_get_constraintdef`` says of the constraint that owns it; None for a mere index."""
    valid: bool = True
    ready: bool = True

    def enforces(self, wanted: UniqueIndex) -> bool:
        """Whether it rejects what ``wanted`` would, at the same moment: a mere index does so at once."""
        return self.valid and self.definition == wanted.definition and self.deferral == wanted.deferral

    @property
    def deferral(self) -> str:
        """When violations are reported: empty for at once."""
        _, deferrable, when = (self.constraint or "").partition("DEFERRABLE")
        return deferrable + when

    def __str__(self) -> str:
        return self.constraint or f"UNIQUE INDEX USING {self.definition}"


def unique_indexes(table: str, *, connection: BaseDatabaseWrapper) -> tuple[UniqueIndex, ...]:
    """Return every unique index of a table but its primary key, valid or not, ordered by name."""
    found = PostgreSQLRows(connection).fetch(
        SQL(
            """
            SELECT c.relname,
                   substr(pg_get_indexdef(c.oid), length(
                       'CREATE UNIQUE INDEX ' || quote_ident(c.relname)
                       || CASE c.relkind WHEN 'I' THEN ' ON ONLY ' ELSE ' ON ' END
                       || CASE t.relpersistence WHEN 't' THEN quote_ident('pg_temp') ELSE quote_ident(n.nspname) END
                       || '.' || quote_ident(t.relname) || ' USING ') + 1),
                   pg_get_constraintdef(k.oid), i.indisvalid, i.indisready
            FROM pg_catalog.pg_index AS i
            JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
            JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
            LEFT JOIN pg_catalog.pg_constraint AS k ON k.conindid = c.oid AND k.contype = 'u' AND k.conrelid = t.oid
            WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND NOT i.indisprimary
            ORDER BY c.relname
            """
        ),
        (relation(table),),
    )
    return tuple(
        UniqueIndex(name=name, definition=definition, constraint=constraint, valid=valid, ready=ready)
        for name, definition, constraint, valid, ready in found
    )


def beside(table: str, name: str) -> str:
    """The name of an index in the schema of its table, as ``identifier`` quotes it right."""
    schema, dot, _ = table.strip('"').rpartition('"."')
    return schema + dot + name


def wanted_index(
    *, model: type[models.Model], constraint: models.UniqueConstraint, connection: BaseDatabaseWrapper
) -> tuple[UniqueIndex, KeyParts] | None:
    """Return the constraint as PostgreSQL would write it, and its key; None where Django does not support it here.

    See Note [Asking an empty copy]. Takes ACCESS SHARE on the table.

    Raises:
        NotUnique: PostgreSQL has no such unique index, or cuts its name.
    """
    statement = create_statement(model=model, constraint=constraint, connection=connection)
    if statement is None:
        return None
    rows, table = PostgreSQLRows(connection), model._meta.db_table
    with transaction.atomic(using=connection.alias):
        rows.execute(
            compose("CREATE TEMPORARY TABLE {copy} (LIKE {table} INCLUDING GENERATED)", copy=_COPY, table=table)
        )
        try:
            rows.execute(raw(_renamed(statement, table)))
        except (ProgrammingError, NotSupportedError) as error:
            said = str(error).splitlines()[0]
            raise NotUnique(
                f"PostgreSQL cannot make {constraint.name} on {table!r}: {said}. Change its key."
            ) from error
        (index,) = unique_indexes(_COPY, connection=connection)
        key = key_parts(beside('pg_temp"."', index.name), connection=connection)
        rows.execute(compose("DROP TABLE pg_temp.{copy}", copy=_COPY))
    if index.name != constraint.name:
        raise NotUnique(
            f"PostgreSQL would cut the name {constraint.name!r} to {index.name!r}: it takes no more than 63 bytes. "
            "Choose a shorter one."
        )
    return index, key


def _renamed(statement: Statement, table: str) -> Statement:
    statement.rename_table_references(table, _COPY)
    return statement
