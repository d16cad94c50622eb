"""What a rule does with columns whose types do not allow it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError

from integrity.backends.faults import lacks_operation
from integrity.dedupe.rule import DedupeRule, InvalidRule


@contextmanager
def types_allow(rule: DedupeRule) -> Iterator[None]:
    """Say of a statement that compares, orders or sums columns that the rule asks for what their types cannot.

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
            f"Rule {rule.name}: the database cannot do that with a column of this type: {said}. "
            "Leave the column out of key, ordering and merge."
        ) from error
