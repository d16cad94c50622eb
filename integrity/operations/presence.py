"""What is already in a database: the table that is asked for, and whose tables it would stand among."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import DatabaseError, connections

from integrity.backends import get_catalogue
from integrity.operations.books import Register
from integrity.operations.refusal import AdoptionRefused, first_line

OUR_PREFIXES = ("integrity_", "django_", "auth_")


def is_there(*, table: str, using: str) -> bool:
    """Whether the table exists, on PostgreSQL in the first schema of the search path that has one.

    Raises:
        AdoptionRefused: a view has its name.
    """
    if not get_catalogue(using=using).columns(table):
        return False
    connection = connections[using]
    fold = str.lower if connection.features.ignores_table_name_case else str
    with connection.cursor() as cursor:
        relations = connection.introspection.get_table_list(cursor)
    if any(relation.type == "v" and fold(relation.name) == fold(table) for relation in relations):
        raise AdoptionRefused(
            f'"{table}" is a view: only a table can be adopted. '
            "Rename the view, or put the schema that holds the table first on the search_path."
        )
    return True


def require_readable(*, table: str, using: str) -> None:
    """Read no row of the table, to learn whether any could be read.

    Raises:
        AdoptionRefused: the role lacks the privilege.
    """
    connection = connections[using]
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {connection.ops.quote_name(table)} WHERE 1 = 0")  # noqa: S608 - quoted
    except DatabaseError as error:
        raise AdoptionRefused(
            f'The table "{table}" cannot be read: {first_line(error)}. '
            "Grant SELECT on it to this role, or migrate as its owner."
        ) from error


def strangers_tables(*, apps: Apps, app_label: str, using: str) -> tuple[str, ...]:
    """Return the tables that neither this app nor another app of this project has made, by name.

    A table of this app that was adopted is a stranger's too: it tells whose database this is.
    """
    of_other_apps = {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label != app_label
    }
    known = of_other_apps | Register(apps=apps, using=using).created()
    tables = get_catalogue(using=using).tables()
    return tuple(sorted(t for t in tables if t not in known and not t.startswith(OUR_PREFIXES)))
