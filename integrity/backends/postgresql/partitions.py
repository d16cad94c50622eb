"""A partitioned table's unique index: declared on the parent alone, built on each partition, attached.

The parent's index becomes valid by itself with the last attachment. What is there already is not done again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from hashlib import sha256

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql.builds import build, index_named
from integrity.backends.postgresql.definition import UniqueIndex, beside
from integrity.backends.postgresql.preflight import is_partitioned
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.postgresql.session import patiently
from integrity.backends.sql import SQL, compose, relation
from integrity.backends.uniqueness import Say


def build_on_partitions(table: str, index: UniqueIndex, *, connection: BaseDatabaseWrapper, say: Say) -> None:
    """Declare the index on a partitioned table and build it on all partitions below.

    Takes ACCESS EXCLUSIVE for a moment on the table, and on one partition after the other.

    Raises:
        NotUnique: another index has its name.
        LockNotFree: that moment did not come.
    """
    _declare(table, index, connection=connection, say=say)
    for partition in _partitions(table, connection=connection):
        part = replace(index, name=part_name(index.name, partition))
        if _attached(beside(table, index.name), partition, connection=connection):
            continue
        if is_partitioned(partition, connection=connection):
            build_on_partitions(partition, part, connection=connection, say=say)
        else:
            build(partition, part, connection=connection, say=say)
        attach = partial(_attach_partition, table, index, partition, part, connection)
        patiently(connection, attach, table=partition, say=say)


def _attach_partition(
    table: str, index: UniqueIndex, partition: str, part: UniqueIndex, connection: BaseDatabaseWrapper
) -> None:
    attach_constraint(partition, part, connection=connection)
    PostgreSQLRows(connection).execute(
        compose(
            "ALTER INDEX {parent} ATTACH PARTITION {child}",
            parent=beside(table, index.name),
            child=beside(partition, part.name),
        )
    )


def attach_constraint(table: str, index: UniqueIndex, *, connection: BaseDatabaseWrapper) -> None:
    """Make a constraint of the index that was built, where the model's is one and it is not done yet."""
    found = index_named(table, index.name, connection=connection)
    if index.constraint is not None and found is not None and found.constraint is None:
        PostgreSQLRows(connection).execute(attaching(table, index.name, index.deferral))


def attaching(table: str, name: str, deferral: str) -> SQL:
    """The statement that makes a constraint of an index of the same name."""
    return compose(
        "ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name} {deferral}",
        table=table,
        name=name,
        deferral=SQL(deferral),
    )


def part_name(name: str, partition: str) -> str:
    """What the index is called on one partition: the same on every run."""
    return f"{name[:50]}_{sha256(partition.encode()).hexdigest()[:12]}"


def _declare(table: str, index: UniqueIndex, *, connection: BaseDatabaseWrapper, say: Say) -> None:
    if index_named(table, index.name, connection=connection) is not None:
        return
    template = (
        "CREATE UNIQUE INDEX {name} ON ONLY {table} USING {definition}"
        if index.constraint is None
        else "ALTER TABLE ONLY {table} ADD CONSTRAINT {name} {constraint}"
    )
    statement = compose(
        template,
        name=index.name,
        table=table,
        definition=SQL(index.definition.replace("%", "%%")),
        constraint=SQL((index.constraint or "").replace("%", "%%")),
    )
    patiently(connection, lambda: PostgreSQLRows(connection).execute(statement), table=table, say=say)


def _partitions(table: str, *, connection: BaseDatabaseWrapper) -> tuple[str, ...]:
    """Its partitions, one level down, as Django would write their names."""
    found = PostgreSQLRows(connection).fetch(
        SQL(
            """
            SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN c.relname::text
                        ELSE n.nspname || '"."' || c.relname END
            FROM pg_catalog.pg_inherits AS i
            JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE i.inhparent = to_regclass(%s) ORDER BY 1
            """
        ),
        (relation(table),),
    )
    return tuple(name for (name,) in found)


def _attached(parent: str, partition: str, *, connection: BaseDatabaseWrapper) -> bool:
    return bool(
        PostgreSQLRows(connection).value(
            SQL(
                """
                SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_inherits AS h
                               JOIN pg_catalog.pg_index AS i ON i.indexrelid = h.inhrelid
                               WHERE h.inhparent = to_regclass(%s) AND i.indrelid = to_regclass(%s) AND i.indisvalid)
                """
            ),
            (relation(parent), relation(partition)),
        )
    )
