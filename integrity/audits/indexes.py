"""Can the rows that refer to a row be found without reading their whole table?"""

from __future__ import annotations

from collections.abc import Iterator

from integrity.audits.context import AuditContext
from integrity.audits.finding import Finding, Level
from integrity.audits.registry import register
from integrity.audits.words import shown


@register("indexes", "integrity.A040")
def indexes(context: AuditContext) -> Iterator[Finding]:
    """Which references have no index on the referring columns?"""
    for reference in context.references:
        if not reference.indexed:
            table, names = shown(reference.table), ", ".join(reference.columns)
            yield Finding(
                id="integrity.A040",
                level=Level.WARNING,
                message=f"No index begins with the columns that refer to {shown(reference.target_table)}: removing "
                f"one row there reads all of {table}.",
                hint=f"Create an index on {table} ({names}).",
                object=f"{table}.{names}",
                details={"target": shown(reference.target_table)},
            )
