"""The demo's own database: the only one that it ever empties."""

from __future__ import annotations

from django.db import connections

from integrity.exceptions import IntegrityAppError

DATABASE_NAME = "integrity_demo"


class NotTheDemoDatabase(IntegrityAppError):
    """A story begins by emptying its database: it does that to none but its own."""


def empty_own_database(*, using: str) -> None:
    """Drop everything in the demo's database.

    Raises:
        NotTheDemoDatabase: it is not PostgreSQL, or not named ``integrity_demo``.
    """
    connection = connections[using]
    name = str(connection.settings_dict["NAME"])
    use = f"Use: make demo, or make demo-pipeline (both set DATABASE_URL=embedded:///{DATABASE_NAME})."
    if connection.vendor != "postgresql":
        raise NotTheDemoDatabase(f"The demo needs PostgreSQL; database {using!r} is {connection.display_name}. {use}")
    if name != DATABASE_NAME:
        raise NotTheDemoDatabase(
            f"The demo empties its database first, and this one is {name!r}, not {DATABASE_NAME!r}. {use}"
        )
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS public, pgmq CASCADE")
        cursor.execute("CREATE SCHEMA public")
