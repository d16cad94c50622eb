"""The statements of an addition, complete and idempotent, for people to review and run by other means."""

from __future__ import annotations

from integrity.backends.postgresql.definition import UniqueIndex, beside
from integrity.backends.postgresql.keys import KeyParts
from integrity.backends.postgresql.partitions import attaching
from integrity.backends.sql import SQL, compose, joined, literal
from integrity.backends.uniqueness import Review


def review_of(table: str, index: UniqueIndex, key: KeyParts, *, deferral: str) -> Review:
    """Write them down."""
    name = literal(str(compose("{index}", index=beside(table, index.name))).replace("%%", "%"))
    definition = SQL(index.definition.replace("%", "%%"))
    attach = compose(
        """DO $integrity$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = to_regclass({name}) AND contype = 'u') THEN
        {attach};
    END IF;
END $integrity$;""",
        name=name,
        attach=SQL(attaching(table, index.name, deferral).strip()),
    )
    drop = (
        compose("DROP INDEX IF EXISTS {index};", index=beside(table, index.name))
        if index.constraint is None
        else compose("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name};", table=table, name=index.name)
    )
    return Review(
        name=index.name,
        table=table,
        no_duplicates=_text(_no_duplicates(table, index, key)),
        leftover=_text(
            compose(
                "SELECT 'DROP INDEX CONCURRENTLY ' || indexrelid::regclass FROM pg_index\n"
                "WHERE indexrelid = to_regclass({name}) AND NOT indisvalid",
                name=name,
            )
        ),
        build=_text(
            compose(
                "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {index}\n    ON {table} USING {definition};",
                index=index.name,
                table=table,
                definition=definition,
            )
        ),
        attach="-- (it stays an index: PostgreSQL has no such constraint)"
        if index.constraint is None
        else _text(attach),
        check=_text(_check(name, index)),
        drop=_text(drop),
    )


def _no_duplicates(table: str, index: UniqueIndex, key: KeyParts) -> SQL:
    return compose(
        """DO $integrity$ BEGIN
    IF EXISTS (SELECT 1 FROM {table} WHERE {covered} GROUP BY {key} HAVING count(*) > 1) THEN
        RAISE unique_violation USING MESSAGE = {message},
            HINT = 'Remove them first, for instance with: manage.py add_unique without --sql';
    END IF;
END $integrity$;""",
        table=table,
        covered=key.covered,
        key=joined(", ", (f"({expression})" for expression in key.expressions)),
        message=literal(f"duplicates stand in the way of {index.name}"),
    )


def _check(name: SQL, index: UniqueIndex) -> SQL:
    return compose(
        """DO $integrity$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass({name}) AND indisvalid AND indisunique
                   AND right(pg_get_indexdef(indexrelid), length({definition})) = {definition}) THEN
        RAISE EXCEPTION USING MESSAGE = {message};
    END IF;
END $integrity$;""",
        name=name,
        definition=literal(f"USING {index.definition}"),
        message=literal(f"{index.name} is not there, not valid, or another one"),
    )


def _text(statement: SQL) -> str:
    return statement.replace("%%", "%")
