"""Look before anything is changed: what would stop an addition, and what the operator should know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.postgresql.blockers import Session, snapshot_holders
from integrity.backends.postgresql.builds import RunningBuild, running_builds
from integrity.backends.postgresql.catalogue import PostgreSQLCatalogue
from integrity.backends.postgresql.keys import KeyParts
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.sql import SQL, relation
from integrity.backends.uniqueness import NotUnique
from integrity.exceptions import IntegrityAppError

_OLD = 1.0  # seconds: a transaction that has been open longer will be noticed


class PrivilegeMissing(IntegrityAppError):
    """The role may not build an index on the table."""


class BuildRunning(IntegrityAppError):
    """Somebody is building an index on the table just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """The state of one table; ``size`` is in bytes, without indexes."""

    table: str
    rows: int
    size: int
    partitions: int
    invalid: tuple[str, ...]
    builds: tuple[RunningBuild, ...]
    blockers: tuple[Session, ...]

    def lines(self) -> Iterator[str]:
        """Yield the report."""
        parts = f" in {self.partitions} partitions" if self.partitions else ""
        yield f"{self.table}: about {self.rows} rows{parts}, {self.size / 1e6:.1f} MB"
        for name in self.invalid:
            yield f"{name} is invalid: what a broken build left"
        for session in self.blockers:
            yield f"a build will wait for {session}"


def look(table: str, *, connection: BaseDatabaseWrapper) -> Preflight:
    """Collect it; reads the catalogue only."""
    rows, catalogue, name = PostgreSQLRows(connection), PostgreSQLCatalogue(connection), relation(table)
    size, partitions = rows.fetch(
        SQL(
            """
            SELECT COALESCE(SUM(pg_table_size(relid)), pg_table_size(to_regclass(%s))), COUNT(*) FILTER (WHERE isleaf)
            FROM pg_catalog.pg_partition_tree(to_regclass(%s))
            """
        ),
        (name, name),
    )[0]
    return Preflight(
        table=table,
        rows=catalogue.row_estimate(table),
        size=int(size),
        partitions=int(partitions) if is_partitioned(table, connection=connection) else 0,
        invalid=tuple(index.name for index in catalogue.indexes(table) if not index.valid),
        builds=running_builds(table, connection=connection),
        blockers=tuple(s for s in snapshot_holders(connection=connection) if s.age.total_seconds() > _OLD),
    )


def require_possible(found: Preflight, key: KeyParts, *, connection: BaseDatabaseWrapper) -> None:
    """Check what can be known before anything is changed.

    Raises:
        BuildRunning: an index of the table is being built.
        PrivilegeMissing: this role is not the table's owner, or may not create in its schema.
        NotUnique: the table is partitioned by something that the key does not contain.
    """
    if found.builds:
        raise BuildRunning(
            f"Session {found.builds[0].pid} is building an index on {found.table!r} ({found.builds[0]}). "
            "Run this again when it has ended; if nobody wants that build: "
            f"SELECT pg_terminate_backend({found.builds[0].pid});"
        )
    _require_privileges(found.table, connection=connection)
    _require_partition_key(found.table, key, connection=connection)


def is_partitioned(table: str, *, connection: BaseDatabaseWrapper) -> bool:
    """Whether the table itself holds no rows but has partitions."""
    kind = SQL("SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = to_regclass(%s)")
    return bool(PostgreSQLRows(connection).value(kind, (relation(table),)))


def _require_privileges(table: str, *, connection: BaseDatabaseWrapper) -> None:
    owner, owns, schema, creates = PostgreSQLRows(connection).fetch(
        SQL(
            """
            SELECT pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE'), n.nspname,
                   has_schema_privilege(n.oid, 'CREATE')
            FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.oid = to_regclass(%s)
            """
        ),
        (relation(table),),
    )[0]
    if not owns:
        raise PrivilegeMissing(
            f"Only the owner of {table!r} may add a constraint. Connect as {owner!r}, or have it granted to this role."
        )
    if not creates:
        raise PrivilegeMissing(f"This role may not create in the schema {schema!r}. GRANT CREATE ON SCHEMA it first.")


def _require_partition_key(table: str, key: KeyParts, *, connection: BaseDatabaseWrapper) -> None:
    found = PostgreSQLRows(connection).fetch(
        SQL(
            """
            SELECT p.partrelid::regclass::text, pg_get_partkeydef(p.partrelid),
                   ARRAY(SELECT a.attname::text FROM unnest(p.partattrs::smallint[]) AS k (n)
                         LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = k.n)
            FROM pg_catalog.pg_partitioned_table AS p
            WHERE p.partrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(to_regclass(%s)))
            """
        ),
        (relation(table),),
    )
    for partitioned, definition, columns in found:
        if not set(columns) <= set(key.columns):
            raise NotUnique(
                f"{partitioned} is partitioned by {definition}, and the key ({', '.join(key.columns)}) lacks some "
                "of that: PostgreSQL enforces uniqueness inside each partition only. Add the partition key to the "
                "constraint, or keep the key unique in a table of its own."
            )
