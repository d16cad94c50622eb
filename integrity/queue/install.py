"""Put PGMQ into a database, or find the one that is there.

Three situations: the *extension* is there or offered by the server (Supabase), and is used; PGMQ's own SQL was
installed without extension, by us or by somebody else; nothing is there, and the SQL that the Python package
``pgmq`` ships is installed. That needs no superuser: CREATE on the database, or a schema ``pgmq`` of one's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from django.db import ProgrammingError, transaction

from integrity.backends import get_rows
from integrity.backends.extensions import create_extension
from integrity.backends.sql import SQL
from integrity.backends.supported import require_postgresql
from integrity.exceptions import IntegrityAppError
from integrity.queue.advice import install_command

OLDEST = (1, 5)  # the first version whose messages have headers
_DUPLICATE = ("42723", "42P07", "42710")  # function, table, type or other object
# It needs CREATE on the database even where the schema is there.
_CREATE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS pgmq;"
_COMMENT = "PGMQ {version}, installed from the SQL of the Python package pgmq"


class PgmqMissing(IntegrityAppError):
    """This database has no PGMQ, or this Python has no SQL of it."""


class InstallationRefused(IntegrityAppError):
    """PGMQ cannot be installed or used here as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The PGMQ that a database has; ``version`` is empty where nobody recorded it."""

    version: str
    extension: bool
    created: bool = False
    """True where this very call installed it."""


def shipped_version() -> str:
    """The version of the SQL in the Python package, such as ``1.13.0``.

    Raises:
        PgmqMissing: the package is not installed.
    """
    return _shipped("VERSION").strip()


def find_installation(*, using: str) -> Installation | None:
    """Return the PGMQ of this database, or None.

    Raises:
        InstallationRefused: its PGMQ is older than 1.5.
        UnsupportedDatabase: it is not PostgreSQL.
    """
    require_postgresql(what="The queue", using=using)
    rows = get_rows(using=using)
    if not _is_there(using=using):
        return None
    extension = rows.fetch(SQL("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pgmq'"))
    recorded = rows.value(SQL("SELECT obj_description('pgmq'::regnamespace, 'pg_namespace')")) or ""
    named = re.match(r"PGMQ (\S+),", recorded)
    version = extension[0][0] if extension else named.group(1) if named else ""
    found = Installation(version=version, extension=bool(extension))
    _refuse_old(found, using=using)
    return found


def require_installation(*, using: str) -> Installation:
    """Return the PGMQ of this database.

    Raises:
        PgmqMissing: there is none.
        InstallationRefused: it is too old.
    """
    found = find_installation(using=using)
    if found is None:
        raise PgmqMissing(f"This database has no PGMQ. Run: {install_command(using=using)}.")
    return found


def install(*, using: str) -> Installation:
    """Install PGMQ where it is missing; return what is there. Any number of callers at once do it once.

    Takes a transaction-level advisory lock and no lock on anybody's table.

    Raises:
        InstallationRefused: the database has an older PGMQ or a part of one, or does not let us create the schema.
        PgmqMissing: the Python package with its SQL is not installed, and is needed here.
        UnsupportedDatabase: it is not PostgreSQL.
    """
    if found := find_installation(using=using):
        return found
    try:
        with transaction.atomic(using=using):
            get_rows(using=using).fetch(
                SQL("SELECT pg_advisory_xact_lock(hashtext('integrity'), hashtext('install_pgmq'))")
            )
            return find_installation(using=using) or _create(using=using)
    except ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", "") not in _DUPLICATE:
            raise
        raise InstallationRefused(
            f"The schema pgmq holds a part of PGMQ already: {str(error).splitlines()[0]}. If nobody needs what is in "
            "it, run: DROP SCHEMA pgmq CASCADE; then install_pgmq again."
        ) from error


def _create(*, using: str) -> Installation:
    if create_extension(name="pgmq", using=using) is None:
        found = require_installation(using=using)
        return Installation(version=found.version, extension=True, created=True)
    rows = get_rows(using=using)
    statements = _shipped("pgmq.sql")
    if _require_create(using=using):
        statements = statements.replace(_CREATE_SCHEMA, "NULL;")
    with rows.connection.cursor() as cursor:
        cursor.execute(statements)  # without parameters: percent signs and all
    comment = _COMMENT.format(version=shipped_version())
    rows.execute(SQL(f"COMMENT ON SCHEMA pgmq IS '{comment}'"))
    return Installation(version=shipped_version(), extension=False, created=True)


def _is_there(*, using: str) -> bool:
    # Not to_regclass: it answers from a cache that waiting for an advisory lock does not refresh.
    return bool(
        get_rows(using=using).value(
            SQL("""
                SELECT EXISTS (
                    SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                    WHERE n.nspname = 'pgmq' AND c.relname = 'meta'
                )
            """)
        )
    )


def _refuse_old(found: Installation, *, using: str) -> None:
    version = tuple(int(part) for part in re.findall(r"\d+", found.version)[:2])
    if version >= OLDEST or (not version and _has_headers(using=using)):
        return
    hint = "Run: ALTER EXTENSION pgmq UPDATE" if found.extension else "PGMQ ships no upgrade scripts without extension"
    raise InstallationRefused(
        f"This database has PGMQ {found.version or 'of an unknown version'}; 1.5 or newer is needed, whose messages "
        f"have headers. {hint}, or use another database."
    )


def _has_headers(*, using: str) -> bool:
    return bool(
        get_rows(using=using).value(
            SQL("""
                SELECT EXISTS (
                    SELECT 1 FROM pg_catalog.pg_attribute
                    WHERE attrelid = to_regclass('pgmq.message_record') AND attname = 'headers'
                )
            """)
        )
    )


def _require_create(*, using: str) -> bool:
    """Return whether the schema is there already; the role must own it, or be allowed to create it."""
    is_there, allowed = get_rows(using=using).fetch(
        SQL("""
            SELECT n.oid IS NOT NULL, CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
                                           ELSE pg_has_role(n.nspowner, 'USAGE') END
            FROM (VALUES ('pgmq')) AS wanted (name) LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = wanted.name
        """)
    )[0]
    if not allowed:
        owned = "ALTER SCHEMA pgmq OWNER TO this role" if is_there else "GRANT CREATE ON DATABASE ... TO this role"
        raise InstallationRefused(
            f"This role may not create PGMQ's schema, or what is in it. Run install_pgmq as the owner, or: {owned}."
        )
    return bool(is_there)


def _shipped(name: str) -> str:
    try:
        return (files("pgmq") / "sql" / name).read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise PgmqMissing(
            "PGMQ's SQL comes with the Python package pgmq, and that, or its SQL, is missing. "
            "Run: pip install pgmq; then install_pgmq again."
        ) from error
