"""Are ids kept in columns that change some of them?

SQLite reads ``UUID`` as a number's type: an id of 32 hexadecimal digits that looks like a number is stored as one,
and has lost digits, or all of them (https://www.sqlite.org/datatype3.html, 3.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from integrity.audits.context import AuditContext
from integrity.audits.finding import Finding, Level
from integrity.audits.registry import register
from integrity.audits.words import counted, shown
from integrity.backends import Column
from integrity.backends.typematch import kind_of


@register("id-types", "integrity.A050", "integrity.A051")
def id_types(context: AuditContext) -> Iterator[Finding]:
    """Which columns store some ids as numbers?"""
    for model in context.present:
        table = model._meta.db_table
        ids = {field.column for field in model._meta.local_concrete_fields if kind_of(field) == "UUIDField"}
        for column in context.catalogue.columns(table):
            if _holds_ids(column, ids) and context.queries.converts_ids(column.type):
                yield _finding(table, column, context.queries.converted_ids(table=table, name=column.name))


def _holds_ids(column: Column, ids: set[Any]) -> bool:
    return column.name in ids or "UUID" in column.type.upper()


def _finding(table: str, column: Column, damaged: int) -> Finding:
    facts = f"The declared type {column.type} stores ids that look like numbers as numbers"
    return Finding(
        id="integrity.A051" if damaged else "integrity.A050",
        level=Level.ERROR if damaged else Level.WARNING,
        message=f"{facts}: {counted(damaged, 'id is', 'ids are')} damaged."
        if damaged
        else f"{facts}: none is damaged yet.",
        hint="Declare the column CHAR(32), or TEXT, in a copy of the table; SQLite cannot change a column's type.",
        object=f"{shown(table)}.{column.name}",
        details={"type": column.type, "damaged": damaged},
    )
