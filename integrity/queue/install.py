"""Put PGMQ into a database, or find the one that is there.

Three situations: the *extension* is there or offered by the server (Supabase), and is used; PGMQ's own SQL was
installed without extension, by us or by somebody else; nothing is there, and the SQL that the Python package
``pgmq`` ships is installed. That needs no superuser: CREATE on the database suffices.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from django.db import transaction

from integrity.backends import get_rows
from integrity.backends.extensions import create_extension
from integrity.backends.postgresql_only import require_postgresql
from integrity.backends.sql import SQL
from integrity.exceptions import IntegrityAppError

OLDEST = (1, 5)  # the first version whose messages have headers
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
        raise PgmqMissing("This database has no PGMQ. Run: manage.py install_pgmq.")
    return found


def install(*, using: str) -> Installation:
    """Install PGMQ where it is missing; return what is there. Any number of callers at once do it once.

    Takes a transaction-level advisory lock and no lock on anybody's table.

    Raises:
        InstallationRefused: the database has an older PGMQ, or does not let us create schemas.
        PgmqMissing: the Python package with its SQL is not installed, and is needed here.
        UnsupportedDatabase: it is not PostgreSQL.
    """
    if found := find_installation(using=using):
        return found
    with transaction.atomic(using=using):
        rows = get_rows(using=using)
        rows.fetch(SQL("SELECT pg_advisory_xact_lock(hashtext('integrity'), hashtext('install_pgmq'))"))
        if found := find_installation(using=using):
            return found
        if create_extension(name="pgmq", using=using) is None:
            found = require_installation(using=using)
            return Installation(version=found.version, extension=True, created=True)
        _require_create(using=using)
        with rows.connection.cursor() as cursor:
            cursor.execute(_shipped("pgmq.sql"))  # without parameters: percent signs and all
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


def _require_create(*, using: str) -> None:
    allowed = get_rows(using=using).value(
        SQL("SELECT has_database_privilege(current_database(), 'CREATE') OR to_regnamespace('pgmq') IS NOT NULL")
    )
    if not allowed:
        raise InstallationRefused(
            "This role may not create PGMQ's schema. Run install_pgmq as the database's owner, or: "
            "GRANT CREATE ON DATABASE ... TO this role."
        )


def _shipped(name: str) -> str:
    try:
        folder = files("pgmq")
    except ModuleNotFoundError as error:
        raise PgmqMissing("PGMQ's SQL comes with the Python package pgmq. Run: pip install pgmq.") from error
    return (folder / "sql" / name).read_text(encoding="utf-8")
