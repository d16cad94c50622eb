"""What keeps statements on a table from treating its own rows and nothing else."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from integrity.backends.base import VIEW
from integrity.backends.sql import relation


def hindrance(table: str, *, connection: BaseDatabaseWrapper) -> str:
    """Return the first of them, with what to do, as ``Catalogue.hindrance`` promises. Reads the catalogue only.

    Foreign keys act as the owner of the table that they are declared on: what row-level security hides from this role
    they change or remove all the same. One that points at another level of a partitioned table knows only some of its
    rows, or more of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.relkind IN ('v', 'm'),
                   (SELECT string_agg(i.inhrelid::regclass::text, ', ' ORDER BY i.inhrelid::regclass::text)
                    FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS h ON h.oid = i.inhrelid
                    WHERE i.inhparent = c.oid AND NOT h.relispartition),
                   pg_catalog.row_security_active(c.oid),
                   (SELECT string_agg(format('%%s of %%s (to %%s)', k.conname, k.conrelid::regclass,
                                             k.confrelid::regclass), ', ' ORDER BY k.conname)
                    FROM pg_catalog.pg_constraint AS k
                    WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid <> c.oid AND k.confrelid IN (
                        SELECT relid FROM pg_catalog.pg_partition_tree(c.oid)
                        UNION SELECT relid FROM pg_catalog.pg_partition_ancestors(c.oid)
                    ))
            FROM pg_catalog.pg_class AS c WHERE c.oid = to_regclass(%s)
            """,
            [relation(table)],
        )
        view, heirs, hidden, keys = cursor.fetchone() or (False, None, False, None)
    if view:
        return VIEW
    if heirs:
        return f"is inherited by {heirs}, whose rows appear among its own. Undo the inheritance, or merge them by hand."
    if hidden:
        return "hides rows from this role by row-level security. Connect as a role that sees all (BYPASSRLS)."
    if keys:
        return f"is referenced at another level of its partitions: {keys}. Let those foreign keys point at itself."
    return ""
