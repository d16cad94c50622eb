"""Are there rows that were never finished?"""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Case, IntegerField, Value, When

from integrity.audits.context import AuditContext
from integrity.audits.finding import Finding, Level
from integrity.audits.registry import register
from integrity.audits.words import counted, shown
from integrity.backends.sql import SQL
from integrity.backends.statements import Query
from integrity.dedupe.target import Target


@register("incomplete", "integrity.A030")
def incomplete(context: AuditContext) -> Iterator[Finding]:
    """Which rows miss what their rule calls complete?"""
    for target in context.targets:
        if not target.rule.complete:
            continue
        found = context.queries.count(_incomplete_rows(target))
        if found.rows:
            example = ", ".join(found.example)
            yield Finding(
                id="integrity.A030",
                level=Level.WARNING,
                message=f"{counted(found.rows, 'incomplete row')}, for example: {example}.",
                hint="Remove duplicates first, which keeps the complete row of each group; compute the others again.",
                object=shown(target.table),
                details={"rule": target.rule.name, "rows": found.rows, "example": example},
            )


def _incomplete_rows(target: Target) -> Query:
    """Compile, so that the keys come as the database writes them: an id that was damaged cannot be read otherwise."""
    # Not ~Q: a condition on NULL is neither true nor false, and an empty vector is what is looked for.
    complete = Case(When(target.rule.complete[0], then=Value(1)), default=Value(0), output_field=IntegerField())
    rows = target.model._base_manager.using(target.using).order_by().annotate(integrity_complete=complete)
    compiled = rows.filter(integrity_complete=0).values_list("pk").query.get_compiler(using=target.using)
    sql, params = compiled.as_sql()
    return Query(sql=SQL(sql), params=tuple(params))
