"""A foreseeable fault of a database, in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DatabaseError, DataError, IntegrityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """``interrupted`` tells that the work had begun, or could begin, and would go on with the database back."""

    message: str
    interrupted: bool = False


def refuses_rows(error: DatabaseError) -> bool:
    """Whether a constraint, a column's type or a trigger refuses some of the rows; others may pass."""
    return isinstance(error, (IntegrityError, DataError)) or _raised_by_code(error)


def _raised_by_code(error: DatabaseError) -> bool:
    """PostgreSQL's class P0: RAISE in PL/pgSQL, which Django files under several errors."""
    return str(getattr(error.__cause__, "sqlstate", None)).startswith("P0")


def ran_too_long(error: DatabaseError) -> bool:
    """Whether PostgreSQL ended the statement: by its ``statement_timeout``, or because somebody asked for it."""
    return getattr(error.__cause__, "sqlstate", None) == "57014"


def headline(error: Exception) -> str:
    """Return the first line of the driver's message: what it says of many rows alike."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def words(error: Exception) -> str:
    """Return the driver's message on one line, with a full stop: drivers spread theirs over several."""
    return (" ".join(str(error).split()) or type(error).__name__).rstrip(".") + "."
