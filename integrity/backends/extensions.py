"""Extensions of PostgreSQL that are welcome and never required."""

from __future__ import annotations

from django.db import DatabaseError, connections, transaction


def create_extension(*, name: str, using: str) -> str | None:
    """Create an extension where the database offers it and allows it; return why not, or None.

    Takes no lock on any table. Runs in a savepoint, so that a refusal does not end the caller's transaction.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT installed_version FROM pg_catalog.pg_available_extensions WHERE name = %s", [name])
        offered = cursor.fetchone()
        if offered is None:
            return f"the extension {name} is not installed on this server"
        if offered[0] is not None:
            return None
        try:
            with transaction.atomic(using=using):
                cursor.execute(f"CREATE EXTENSION IF NOT EXISTS {connection.ops.quote_name(name)}")
        except DatabaseError as error:
            return f"the extension {name} could not be created: {str(error).splitlines()[0]}"
    return None
