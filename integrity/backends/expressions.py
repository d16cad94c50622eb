"""Django expressions and conditions as SQL text without parameters, which an arbiter of ON CONFLICT has to be."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql import Query

from integrity.backends.djangosql import raw
from integrity.backends.sql import SQL


def expression_sql(expression: Any, *, model: type[models.Model], connection: BaseDatabaseWrapper) -> SQL:
    """Compile a part of a key: a plain column as it is, anything else in parentheses. Columns are unqualified.

    An ordering or an operator class around the part says how an index is built, not what it holds, and is left out.
    """
    expression = bare(expression)
    query = Query(model, alias_cols=False)
    resolved = expression.resolve_expression(query, allow_joins=False)
    sql, params = query.get_compiler(connection=connection).compile(resolved)
    text = _literal(sql, params, connection)
    return text if isinstance(expression, models.F) else SQL(f"({text})")


def condition_sql(
    condition: models.Q, *, model: type[models.Model], connection: BaseDatabaseWrapper, qualified: bool = False
) -> SQL:
    """Compile a condition on one row; ``qualified`` puts the table's name before its columns."""
    query = Query(model, alias_cols=qualified)
    where = query.build_where(condition)
    sql, params = query.get_compiler(connection=connection).compile(where)
    return _literal(sql, params, connection)


def bare(expression: Any) -> Any:
    """The expression without ``asc()``, ``desc()`` and operator classes: they make no difference to uniqueness."""
    while isinstance(expression, models.expressions.OrderBy) or type(expression).__name__ == "OpClass":
        (expression,) = expression.get_source_expressions()
    return expression


def _literal(sql: str, params: Any, connection: BaseDatabaseWrapper) -> SQL:
    editor = connection.schema_editor(collect_sql=True, atomic=False)
    return raw(sql % tuple(editor.quote_value(value) for value in params))
