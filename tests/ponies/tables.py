"""Make the tables of the hostile app, with those that no model describes."""

from __future__ import annotations

from django.core.management import call_command
from django.db import connection

POSTGRESQL = """
CREATE TABLE ponies_numbered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE ponies_oldnote (id bigint PRIMARY KEY, pony_id bigint NOT NULL, text text NOT NULL);
CREATE TABLE ponies_scroll (id bigint PRIMARY KEY, title text NOT NULL, body json, motto box, origin point);
CREATE TABLE ponies_seal (
    id bigint PRIMARY KEY, scroll_id bigint NOT NULL REFERENCES ponies_scroll, wax json
);
CREATE TABLE ponies_ledger (
    entry bigint PRIMARY KEY, "a ""pony"" id" bigint REFERENCES ponies_pony ON DELETE CASCADE, amount numeric
);
CREATE TABLE ponies_trace (
    id bigint PRIMARY KEY, pony bigint REFERENCES ponies_pony ON DELETE SET NULL, "limit" integer,
    UNIQUE (pony, "limit")
);
CREATE TABLE "ponies 50% note" (
    "%s" bigint PRIMARY KEY, "the odd%" bigint REFERENCES "ponies select odd", "from" text, UNIQUE ("the odd%", "from")
);
CREATE TABLE ponies_split (
    id bigint PRIMARY KEY, race varchar(20), number integer, half integer,
    FOREIGN KEY (race, number) REFERENCES ponies_lap (race, number) ON DELETE CASCADE
);
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.brush (id bigint PRIMARY KEY, pony bigint REFERENCES ponies_pony ON DELETE CASCADE);
"""

SQLITE = """
CREATE TABLE ponies_numbered (id integer PRIMARY KEY AUTOINCREMENT, name text NOT NULL);
CREATE TABLE ponies_oldnote (id integer PRIMARY KEY, pony_id bigint NOT NULL, text text NOT NULL);
CREATE TABLE ponies_scroll (id integer PRIMARY KEY, title text NOT NULL, body json, motto, origin blob);
CREATE TABLE ponies_seal (
    id integer PRIMARY KEY, scroll_id bigint NOT NULL REFERENCES ponies_scroll, wax json
);
CREATE TABLE ponies_ledger (
    entry integer PRIMARY KEY, "a ""pony"" id" bigint REFERENCES ponies_pony ON DELETE CASCADE, amount numeric
);
CREATE TABLE ponies_trace (
    id integer PRIMARY KEY, pony bigint REFERENCES ponies_pony ON DELETE SET NULL, "limit" integer,
    UNIQUE (pony, "limit")
);
CREATE TABLE "ponies 50% note" (
    "%s" integer PRIMARY KEY, "the odd%" bigint REFERENCES "ponies select odd", "from" text, UNIQUE ("the odd%", "from")
);
CREATE TABLE ponies_split (
    id integer PRIMARY KEY, race varchar(20), number integer, half integer,
    FOREIGN KEY (race, number) REFERENCES ponies_lap (race, number) ON DELETE CASCADE
);
"""


def make_tables() -> None:
    """Make all of them in ``default``, which is migrated and has none."""
    foreign = POSTGRESQL if connection.vendor == "postgresql" else SQLITE
    later = [statement for statement in foreign.split(";") if statement.strip()]
    with connection.cursor() as cursor:
        cursor.execute(later.pop(0))  # a managed model references it
    call_command("migrate", run_syncdb=True, verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        for statement in later:
            cursor.execute(statement)
