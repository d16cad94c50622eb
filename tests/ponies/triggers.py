"""Triggers of the owner's on the hostile models' tables, in the language of either database."""

from __future__ import annotations

from tests.databases import Database


def trigger(database: Database, when: str, table: str, *, does: str, sqlite: str = "") -> None:
    """Make the trigger ``meddler``: a statement, or in PostgreSQL one on NEW; ``sqlite`` where that differs."""
    if database.vendor == "sqlite":
        database.execute(f"CREATE TRIGGER meddler {when} ON {table} BEGIN {sqlite or does}; END")
        return
    database.execute(
        f"CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; "
        "RETURN COALESCE(NEW, OLD); END $$"
    )
    database.execute(f"CREATE TRIGGER meddler {when} ON {table} FOR EACH ROW EXECUTE FUNCTION meddle()")


def drop_trigger(database: Database, table: str) -> None:
    """Drop it."""
    database.execute("DROP TRIGGER meddler" + ("" if database.vendor == "sqlite" else f" ON {table}"))
