"""What a rule does with columns whose types do not allow it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError

from integrity.backends.faults import lacks_operation
from integrity.dedupe.rule import DedupeRule, InvalidRule


@contextmanager
def types_allow(rule: DedupeRule) -> Iterator[None]:
    """Say of a statement that compares, orders, sums or looks into columns that their types do not allow it.

    Raises:
        InvalidRule: the database has no such operator or function.
    """
    try:
        yield
    except DatabaseError as error:
        if not lacks_operation(error):
            raise
        said = str(error).splitlines()[0]
        raise InvalidRule(
            f"Rule {rule.name} asks for what the type of a column does not allow: {said}. "
            "Leave that column out, or change its type."
        ) from error
