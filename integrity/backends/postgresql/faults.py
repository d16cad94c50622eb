"""PostgreSQL's errors in words, told apart by their SQLSTATE."""

from __future__ import annotations

import re

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.fault import Fault, words
from integrity.backends.sql import relation

INSUFFICIENT_PRIVILEGE = "42501"
NO_OPERATION = {"42883", "42809", "42P22"}  # undefined function or operator, wrong object type, two collations
SURROUNDINGS = ("53", "40", "55P03", INSUFFICIENT_PRIVILEGE)  # no room or memory, lost races, a lock, a privilege
_DATA = "22"  # a sum out of range, a division by zero, a text that is no number: in what a rule computes from rows
UNDEFINED = {"42P01", "42703", "3F000"}  # table, column, schema

_RAISED = "A trigger or function of this database says so: ask whoever made it."
_LACKING = "Check that it is the right database and search_path, and that its extensions are the ones needed."
_CANNOT = "This PostgreSQL, or this kind of table, cannot do that."
_ADVICE = {
    "25006": "Connect to the primary, as a role and to a database without default_transaction_read_only.",
    "P0001": _RAISED,  # RAISE EXCEPTION
    "P0004": _RAISED,  # ASSERT
    "42883": _LACKING,  # no such function or operator
    "42704": _LACKING,  # no such type, role or other object
    "0A000": _CANNOT,
    "42809": _CANNOT,  # a view where a table is needed
}
_TOO_LONG = {  # all but the first end the session
    "57014": "If it was statement_timeout, raise that for this role: it would end the same statement again.",
    "25P03": "Raise idle_in_transaction_session_timeout for this role.",
    "25P04": "Raise transaction_timeout for this role.",
}

_STATEMENT_POOLING = "statement pooling mode"  # PgBouncer's words; it has one SQLSTATE for all that it says

_ROWS_HIDDEN = "would be affected by row-level security"
_TABLE_LIKE = re.compile(r"permission denied for (?:table|view|materialized view|foreign table) (?P<name>.+)$")


def explain(error: Exception, connection: BaseDatabaseWrapper) -> Fault | None:
    """Explain an error of PostgreSQL, or return None."""
    state = getattr(error.__cause__, "sqlstate", None)
    if state == INSUFFICIENT_PRIVILEGE:
        return Fault(message=f"Database {connection.alias!r}: {_denied(error, connection)}")
    said = f"Database {connection.alias!r}: {words(Exception(_first_line(error)))}"
    if state in UNDEFINED:
        return Fault(
            message=f"{said} Check that it is the right database and search_path; "
            "`manage.py migrate` makes or adopts the tables."
        )
    if _STATEMENT_POOLING in said:
        return Fault(message=f"{said} Connect to PostgreSQL directly, or to a pooler in transaction mode.")
    if state in _TOO_LONG:
        return Fault(message=f"{said} {_TOO_LONG[state]}", interrupted=True)
    if state and state.startswith(_DATA):
        return Fault(
            message=f"{said} A value of some row is at fault: correct it, or leave its column out of the rule."
        )
    return Fault(message=f"{said} {_ADVICE[state]}") if state in _ADVICE else None


def _denied(error: Exception, connection: BaseDatabaseWrapper) -> str:
    said = _first_line(error)
    if _ROWS_HIDDEN in said:
        return f"{said}. Run the command as a role that sees all rows: the table's owner, or one with BYPASSRLS."
    found = _TABLE_LIKE.search(said)
    try:
        role, lacking = _lacking(found["name"], connection) if found else ("", ())
    except DatabaseError:
        lacking = ()  # the connection is gone too: the server's own words must do
    if not found or not lacking:
        return f"{said}. Ask the owner of the object for the privilege, or run the command as its owner."
    privileges = ", ".join(lacking)
    return (
        f'role "{role}" lacks {privileges} on "{found["name"]}". '
        f'Ask its owner to: GRANT {privileges} ON "{found["name"]}" TO "{role}";'
    )


def _lacking(table: str, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str, ...]]:
    """Return the role's name and the privileges that it lacks on the whole table."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT current_user, ARRAY(
                SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
                WHERE NOT has_table_privilege(to_regclass(%s), privilege)
            )
            """,
            [relation(table)],
        )
        role, privileges = cursor.fetchone()
        return role, tuple(privileges)


def _first_line(error: Exception) -> str:
    """Return the message without the statement and the position that follow it."""
    return str(error).strip().splitlines()[0]
