"""Keep strategies: orderings of the rows of a group. The first row survives.

Each is a small value object that can be composed in a tuple, most important first. The engine ends every
ordering in the primary key, so that the same rows always give the same survivor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from django.db.models import Case, F, IntegerField, Q, Value, When
from django.db.models.expressions import Expression, OrderBy

from integrity.exceptions import IntegrityAppError

if TYPE_CHECKING:
    from integrity.dedupe.target import Target


class UnknownKeep(IntegrityAppError):
    """No strategy of that name, or none that fits the rule."""


class Keep(Protocol):
    """One ordering."""

    @property
    def why(self) -> str:
        """The ordering in words, for plans and pages: ``oldest by started_at``."""
        ...

    def order_by(self, target: Target) -> tuple[OrderBy, ...]:
        """The ordering as Django expressions on the target's model."""
        ...


@dataclass(frozen=True)
class Earliest:
    """The row with the smallest value of a field first (NULL last); without a field: the smallest primary key."""

    field: str = ""

    @property
    def why(self) -> str:
        return f"oldest by {self.field}" if self.field else "smallest primary key"

    def order_by(self, target: Target) -> tuple[OrderBy, ...]:
        return (F(self.field).asc(nulls_last=True),) if self.field else ()


@dataclass(frozen=True)
class Latest:
    """The row with the largest value of a field first (NULL last)."""

    field: str

    @property
    def why(self) -> str:
        return f"newest by {self.field}"

    def order_by(self, target: Target) -> tuple[OrderBy, ...]:
        return (F(self.field).desc(nulls_last=True),)


@dataclass(frozen=True)
class MostComplete:
    """The row with the fewest NULL columns first."""

    why = "fewest empty columns"

    def order_by(self, target: Target) -> tuple[OrderBy, ...]:
        empty = [
            Case(When(Q(**{f"{name}__isnull": True}), then=Value(1)), default=Value(0), output_field=IntegerField())
            for name in target.nullable_fields
        ]
        return (OrderBy(_total(empty)),)


def _total(terms: Sequence[Any]) -> Any:
    """The sum of expressions, nested no deeper than need be: Python and the databases allow some hundred levels."""
    if len(terms) < 2:
        return terms[0] if terms else Value(0)
    middle = len(terms) // 2
    return _total(terms[:middle]) + _total(terms[middle:])


@dataclass(frozen=True)
class MostReferenced:
    """The row that most other rows point at first."""

    why = "most referenced"

    def order_by(self, target: Target) -> tuple[OrderBy, ...]:
        return (OrderBy(target.reference_count(), descending=True),)


@dataclass(frozen=True)
class OrderByFields:
    """Any ordering, by fields and expressions: ``OrderByFields(("-score", Length("name").desc()))``; NULL last.

    A field is one of the row itself; an expression may look up what the row references.
    """

    fields: tuple[str | Expression | F, ...]

    @property
    def why(self) -> str:
        return f"order by {', '.join(map(str, self.fields))}"

    @property
    def expressions(self) -> tuple[OrderBy, ...]:
        """What is ordered by besides fields."""
        given = (part for part in self.fields if not isinstance(part, str))
        return tuple(part if isinstance(part, OrderBy) else OrderBy(part) for part in given)

    def order_by(self, target: Target) -> tuple[OrderBy, ...]:
        known = {field.name for field in target.model._meta.concrete_fields}
        names = [part for part in self.fields if isinstance(part, str)]
        if unknown := [name for name in names if name.removeprefix("-") not in known]:
            raise UnknownKeep(
                f"{target.rule.model} has no field {unknown[0].removeprefix('-')!r} to order by. "
                f"Choose from: {', '.join(sorted(known))}."
            )
        expressions = iter(self.expressions)
        return tuple(_by_field(part) if isinstance(part, str) else next(expressions) for part in self.fields)


def _by_field(name: str) -> OrderBy:
    return F(name[1:]).desc(nulls_last=True) if name.startswith("-") else F(name).asc(nulls_last=True)


@dataclass(frozen=True)
class Medoid:
    """The row whose vector is nearest to all others of its group first. Two rows are equally near to each other.

    The vectors are compared outside the database, once the groups are staged (``medoids.py``); it stands before
    all orderings that follow it.
    """

    field: str

    @property
    def why(self) -> str:
        return f"medoid of {self.field}"

    def order_by(self, target: Target) -> tuple[OrderBy, ...]:
        return ()


@dataclass(frozen=True)
class StatusOrder:
    """The row whose status stands first in a list first; a status that is not in the list comes last."""

    field: str
    statuses: tuple[str | int, ...]

    @property
    def why(self) -> str:
        return f"{self.field}: {' > '.join(map(str, self.statuses))}"

    def order_by(self, target: Target) -> tuple[OrderBy, ...]:
        places = [When(Q(**{self.field: status}), then=Value(n)) for n, status in enumerate(self.statuses)]
        return (OrderBy(Case(*places, default=Value(len(places)), output_field=IntegerField())),)


STRATEGIES = ("earliest", "latest", "most-complete", "most-referenced")
"""What ``--keep`` takes."""


def named(name: str, *, clock: str) -> tuple[Keep, ...]:
    """The strategies behind ``--keep``; ``clock`` is the field that tells a row's age.

    Raises:
        UnknownKeep: there is no such strategy.
    """
    age: Keep = Earliest(clock)
    if name == "latest" and not clock:
        raise UnknownKeep(
            "The rule names no field that tells a row's age, so there is no latest row. Name one: --clock FIELD."
        )
    known: dict[str, tuple[Keep, ...]] = {
        "earliest": (age,),
        "latest": (Latest(clock),),
        "most-complete": (MostComplete(), age),
        "most-referenced": (MostReferenced(), age),
    }
    if name not in known:
        raise UnknownKeep(f"There is no keep strategy {name!r}. Choose from: {', '.join(STRATEGIES)}.")
    return known[name]
