"""Is everything there that is to be audited?"""

from __future__ import annotations

from collections.abc import Iterator

from integrity.audits.context import AuditContext
from integrity.audits.finding import Finding, Level
from integrity.audits.registry import register
from integrity.audits.words import shown


@register("tables", "integrity.A060", "integrity.A061")
def tables(context: AuditContext) -> Iterator[Finding]:
    """Which tables are absent, or do not fit their rule?"""
    for model in context.models:
        if model not in context.present:
            yield Finding(
                id="integrity.A060",
                level=Level.INFO,
                message="The table is not in this database: it was skipped.",
                hint="Name in INTEGRITY_SYSTEMS only the systems whose tables are here.",
                object=shown(model._meta.db_table),
            )
    for unfit in context.unfit:
        yield Finding(
            id="integrity.A061",
            level=Level.ERROR,
            message=f"The rule {unfit.rule.name!r} cannot be applied: {unfit.reason}",
            hint="Correct the rule or the table: neither duplicates nor the constraint were looked for.",
            object=shown(unfit.table),
            details={"rule": unfit.rule.name},
        )
