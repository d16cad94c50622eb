"""Reject new duplicates while old ones are still there: a side table of keys with a real unique index.

Note [The guard]
A trigger enters the key of every inserted row, and of every row whose key changes, into a table with a unique
index; the keys of rows that were there before are filled in afterwards, batch by batch. Only a unique index
sees what other transactions have not committed yet and what a REPEATABLE READ snapshot cannot see; a trigger that
merely looks into the table leaks (docs/decisions/0020-the-guard.md has the measurements).

Each key has a *holder*, the primary key of one row that has it. Deleting a row or changing its key does not
touch the guard: when the key is wanted again, the holder is looked up, and if it is gone the newcomer becomes the
holder. Locking the holder FOR SHARE waits for a transaction that is about to delete it, as the real
index would. A key with ``many`` rows (the old duplicates) is only free when none of its *members* has it either:
the other rows that had it, in a table of their own, so that looking for them never reads the whole table.

A guard is ready once its comment says so (with the definition that it guards); until then nothing relies on it.
"""

from __future__ import annotations

from hashlib import sha256

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.names import GUARD
from integrity.backends.postgresql.definition import UniqueIndex, beside
from integrity.backends.postgresql.guardcode import function_statement
from integrity.backends.postgresql.guardkeys import GuardKeys, members_name
from integrity.backends.postgresql.keys import KeyParts
from integrity.backends.postgresql.rows import PostgreSQLRows
from integrity.backends.postgresql.session import patiently
from integrity.backends.sql import SQL, as_value, columns, compose, joined, literal
from integrity.backends.uniqueness import NotUnique, Say


class Guard:
    """The guard of one coming constraint."""

    def __init__(self, *, table: str, index: UniqueIndex, key: KeyParts, connection: BaseDatabaseWrapper) -> None:
        self.table, self.index, self.key, self.connection = table, index, key, connection
        self.rows = PostgreSQLRows(connection)
        self.name = guard_name(table, index.name)
        self.keys = GuardKeys(guard=self.name, table=table, key=key, connection=connection)

    def set_up(self, *, say: Say) -> None:
        """Make the guard, or take up the one that an addition cut short has left; return once it is ready.

        Making it takes SHARE ROW EXCLUSIVE on the table for a moment; filling it takes no lock on it.

        Raises:
            LockNotFree: that moment did not come.
            NotUnique: the table has no primary key.
        """
        if not self.keys.pk:
            raise NotUnique(f"Table {self.table!r} has no primary key, so its rows cannot be told apart. Add one.")
        if _comment(self.name, self.rows) == self.index.definition:
            say(f"the guard of {self.index.name} is still in place")
            return
        drop_guard(self.table, self.index.name, connection=self.connection, say=say)
        patiently(self.connection, self._create, table=self.table, say=say)
        known = self.keys.fill(say=say)
        self.rows.execute(
            compose("COMMENT ON TABLE {guard} IS {text}", guard=self.name, text=literal(self.index.definition))
        )
        say(f"new duplicates are rejected from now on ({known} rows known)")

    def _create(self) -> None:
        self._create_table()
        self._create_trigger()

    def _create_table(self) -> None:
        self._create_as(self.name, "{p}, {k}, FALSE AS many", unique=True)
        self._create_as(self.keys.members, "{p}, {k}", unique=False)
        # A publication FOR ALL TABLES would otherwise make every writer fail at the guard's first update.
        self.rows.execute(compose("ALTER TABLE {guard} REPLICA IDENTITY FULL", guard=self.name))

    def _create_as(self, name: str, template: str, *, unique: bool) -> None:
        """Create a table of keys, empty, with an index on them."""
        k = self.key.names
        self.rows.execute(
            compose(
                "CREATE TABLE {name} AS SELECT {columns} FROM {source} WITH NO DATA",
                name=name,
                columns=compose(template, p=columns(self.keys.p), k=columns(k)),
                source=self.keys.source,
            )
        )
        parts = joined(
            ", ", (compose("{name} {kind}", name=n, kind=c) for n, c in zip(k, self.key.classes, strict=True))
        )
        self.rows.execute(
            compose(
                "CREATE {unique} INDEX {index} ON {name} ({parts}) {nulls}",
                unique=SQL("UNIQUE" if unique else ""),
                index=f"{name}_key",
                name=name,
                parts=parts,
                nulls=SQL("NULLS NOT DISTINCT" if unique and not self.key.nulls_distinct else ""),
            )
        )

    def _create_trigger(self) -> None:
        path = self.rows.value(SQL("SELECT string_agg(quote_ident(s), ', ') FROM unnest(current_schemas(FALSE)) AS s"))
        self.rows.execute(
            function_statement(
                guard=self.name,
                members=self.keys.members,
                table=self.table,
                constraint=self.index.name,
                key=self.key,
                pk=self.keys.pk,
                path=SQL(str(path).replace("%", "%%")),
            )
        )
        self.rows.execute(
            compose(
                "CREATE TRIGGER {guard} AFTER INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {guard}()",
                guard=self.name,
                table=self.table,
            )
        )


def guard_name(table: str, constraint: str) -> str:
    """What the guard's table, function and trigger are called."""
    return f"{GUARD}{sha256(f'{table}.{constraint}'.encode()).hexdigest()[:12]}"


def drop_guard(table: str, constraint: str, *, connection: BaseDatabaseWrapper, say: Say) -> None:
    """Remove the guard if it is there, in whatever state. Takes ACCESS EXCLUSIVE on the table for a moment."""
    rows, name = PostgreSQLRows(connection), guard_name(table, constraint)
    if rows.value(SQL("SELECT to_regclass(%s) IS NOT NULL"), (name,)):
        patiently(connection, lambda: drop_guard_now(table, constraint, rows=rows), table=table, say=say)


def drop_guard_now(table: str, constraint: str, *, rows: PostgreSQLRows) -> None:
    """The same inside the caller's transaction."""
    name = guard_name(table, constraint)
    rows.execute(compose("DROP TRIGGER IF EXISTS {name} ON {table}", name=name, table=table))
    rows.execute(compose("DROP FUNCTION IF EXISTS {name}()", name=name))
    rows.execute(compose("DROP TABLE IF EXISTS {name}, {members}", name=name, members=members_name(name)))


def dropping(table: str, constraint: str) -> str:
    """Return what somebody types to take away what an addition has left, whatever of it is there."""
    name = guard_name(table, constraint)
    return as_value(
        compose(
            "DROP FUNCTION IF EXISTS {name}() CASCADE; DROP TABLE IF EXISTS {name}, {members}; "
            "DROP INDEX CONCURRENTLY IF EXISTS {index};",
            name=name,
            members=members_name(name),
            index=beside(table, constraint),
        )
    )


def _comment(name: str, rows: PostgreSQLRows) -> str | None:
    found = rows.value(SQL("SELECT obj_description(to_regclass(%s), 'pg_class')"), (name,))
    return None if found is None else str(found)
