"""The fields that a rule names: columns of its model's own table, or what one look-up from there can tell."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldError, ValidationError
from django.db.models import Case, ForeignKey, Q, QuerySet, Value, When

from integrity.dedupe.keep import Medoid, StatusOrder
from integrity.dedupe.rule import DedupeRule, InvalidRule, require_own_fields


def require_fields(rule: DedupeRule, model: Any) -> None:
    """See that the model has every field that the rule names, and that each is one value of the row. Asks no database.

    Raises:
        InvalidRule: it has not.
    """
    for name in ("fields", "keep", "complete", "content", "ignore", "soft_references"):
        if not isinstance(given := getattr(rule, name), (tuple, list)):
            raise InvalidRule(f"Rule {rule.name}: `{name}` takes a tuple. One of a single item is ({given!r},).")
    medoids = (keep.field for keep in rule.keep if isinstance(keep, Medoid))
    columns = (*rule.content, *rule.ignore, *filter(None, (rule.vector, *medoids)))
    require_own_fields(columns, label=rule.model, model=model)
    try:
        _require_one_value(rule, _resolved(rule, model))
    except (FieldError, ValidationError, ValueError, TypeError) as error:
        raise InvalidRule(f"Rule {rule.name}: {' '.join(map(str, error.args))}") from error


def _resolved(rule: DedupeRule, model: Any) -> QuerySet[Any]:
    """A query in which Django has looked up all that the rule compares and orders by."""
    # Each once: to the second one Django gives a name that another field may have.
    orders = dict.fromkeys(filter(None, (rule.clock, *(getattr(keep, "field", "") for keep in rule.keep))))
    rows: QuerySet[Any] = QuerySet(model).order_by()
    conditions = (When(condition, then=Value(1)) for condition in rule.complete)
    statuses = (
        When(Q(**{keep.field: status}), then=Value(1))
        for keep in rule.keep
        if isinstance(keep, StatusOrder)
        for status in keep.statuses
    )
    rows = rows.annotate(integrity_cases=Case(*conditions, *statuses, default=Value(0)))
    expressions = (order.expression for keep in rule.keep for order in getattr(keep, "expressions", ()))
    return rows.values_list(*orders, *expressions)


def _require_one_value(rule: DedupeRule, rows: QuerySet[Any]) -> None:
    """A look-up of many rows would make one row of the table several of a group."""
    joined = (getattr(join, "join_field", None) for join in rows.query.alias_map.values())
    for field in filter(None, joined):
        if not isinstance(field, ForeignKey) and not field.one_to_one:
            raise InvalidRule(
                f"Rule {rule.name}: {field.name!r} is many values for one row of {rule.model}, and cannot order or "
                "complete it. Name a field of the row itself, or of what it references."
            )
