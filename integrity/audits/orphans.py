"""Are there rows that point at rows which do not exist?"""

from __future__ import annotations

from collections.abc import Iterator

from integrity.audits.context import AuditContext
from integrity.audits.finding import Finding, Level
from integrity.audits.registry import register
from integrity.audits.words import counted, shown
from integrity.backends import Catalogue
from integrity.backends.audit_queries import Counted
from integrity.dedupe.references import Reference


@register("orphans", "integrity.A020", "integrity.A021")
def orphans(context: AuditContext) -> Iterator[Finding]:
    """Which rows refer to a row that does not exist?

    Foreign keys that the database enforces are looked at too: they may have been loaded while switched off.
    """
    for reference in context.references:
        if missing := _missing(reference, context.catalogue):
            yield _target_missing(reference, missing)
            continue
        pk = context.catalogue.primary_key(reference.table)
        found = context.queries.orphans(
            table=reference.table,
            pk=pk,
            names=reference.columns,
            target=reference.target_table,
            target_names=reference.target_columns,
        )
        if found.rows:
            yield _orphans(reference, found, pk_count=len(pk))


def _orphans(reference: Reference, found: Counted, *, pk_count: int) -> Finding:
    table, target = shown(reference.table), shown(reference.target_table)
    row, lost = ", ".join(found.example[:pk_count]), ", ".join(found.example[pk_count:])
    which = f"row {row} refers to {lost}" if row else f"a reference to {lost}"
    return Finding(
        id="integrity.A020",
        level=Level.ERROR,
        message=f"{counted(found.rows, 'row')} of {table} without a row in {target}, for example: {which}.",
        hint=f"Bring the rows of {target} back, or delete those that refer to them: no command here does either.",
        object=f"{table}.{', '.join(reference.columns)}",
        details={"rows": found.rows, "target": target, "example": row, "missing": lost},
    )


def _missing(reference: Reference, catalogue: Catalogue) -> str:
    """What a foreign key refers to and is not there, in words; SQLite accepts any."""
    target = shown(reference.target_table)
    have = {column.name for column in catalogue.columns(reference.target_table)}
    if not have:
        return f"a table that does not exist: {target}"
    if len(reference.target_columns) != len(reference.columns):
        return f"the primary key of {target}, which does not have as many columns"
    if lacking := [name for name in reference.target_columns if name not in have]:
        return f"columns that do not exist: {target} ({', '.join(lacking)})"
    return ""


def _target_missing(reference: Reference, missing: str) -> Finding:
    return Finding(
        id="integrity.A021",
        level=Level.ERROR,
        message=f"The foreign key refers to {missing}.",
        hint="Restore what it refers to, or remove the foreign key.",
        object=f"{shown(reference.table)}.{', '.join(reference.columns)}",
        details={"target": shown(reference.target_table)},
    )
