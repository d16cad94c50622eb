"""The answer to: can a column of this type serve that field?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import models


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeMatch:
    """``fits`` without a remark: the same. With one: it works, but differs. Not ``fits``: it cannot work."""

    fits: bool
    remark: str = ""


SAME = TypeMatch(fits=True)


def works(remark: str) -> TypeMatch:
    """The type differs and serves."""
    return TypeMatch(fits=True, remark=remark)


def fails(remark: str) -> TypeMatch:
    """The type cannot serve."""
    return TypeMatch(fits=False, remark=remark)


def kind_of(field: models.Field[Any, Any]) -> str:
    """Return Django's name for what the column holds: of a foreign key its target's, for all integers one."""
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return "IntegerField" if isinstance(field, models.IntegerField) else field.get_internal_type()
