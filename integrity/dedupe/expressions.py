"""Expressions of Django's that ask the database, in its own way, about the row of a query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import BigIntegerField
from django.db.models.expressions import Expression

from integrity.backends import get_rows
from integrity.backends.rows import Rows
from integrity.backends.sql import SQL, compose, joined
from integrity.dedupe.pointing import points_at
from integrity.dedupe.references import Reference


class Fingerprint(Expression):
    """The backend's fingerprint of some columns of the query's own table."""

    output_field = BigIntegerField()

    def __init__(self, table: str, names: Sequence[str]) -> None:
        super().__init__()
        self.table, self.names = table, tuple(names)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        rows = get_rows(using=connection.alias)
        return rows.fingerprint(self.table, self.names, alias=compiler.query.get_initial_alias()), ()


class System(Expression):
    """What the database itself says of the query's row: its place, its version."""

    output_field = BigIntegerField()

    def __init__(self, ask: Callable[[Rows, str], SQL]) -> None:
        super().__init__()
        self.ask = ask

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return self.ask(get_rows(using=connection.alias), compiler.query.get_initial_alias()), ()


class ReferenceCount(Expression):
    """How many rows of other tables reference the query's row."""

    output_field = BigIntegerField()

    def __init__(self, references: Sequence[Reference]) -> None:
        super().__init__()
        self.references = tuple(references)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        outer = compiler.query.get_initial_alias()
        rows = get_rows(using=connection.alias)
        counts = (
            compose(
                "(SELECT COUNT(*) FROM {table} AS c WHERE {points})",
                table=reference.table,
                points=points_at(reference, outer, reference.target_columns, rows),
            )
            for reference in self.references
            if reference.soft is None
        )
        return joined(" + ", counts) or SQL("0"), ()
