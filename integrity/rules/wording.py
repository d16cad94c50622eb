"""A rule as it is asked for on a command line; plain JSON, so that a plan can keep it and the rule be built again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from integrity.dedupe.keep import Earliest, OrderByFields, named
from integrity.dedupe.rule import DedupeRule
from integrity.rules.registry import UnknownRule, get_rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """A registered rule by its name, or a model with its key; and what is to be different this time."""

    rule: str = ""
    model: str = ""
    key: tuple[str, ...] = ()
    constraint: str = ""
    nulls: str = ""
    clock: str = ""
    keep: str = ""
    order_by: tuple[str, ...] = ()
    conflict: str = ""
    ignore: tuple[str, ...] = ()
    merge: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)

    def build(self) -> DedupeRule:
        """Return the rule.

        Raises:
            UnknownRule: no rule of that name is registered.
            InvalidRule: the words contradict each other.
            UnknownKeep: there is no such strategy, or the rule has no clock for it.
        """
        rule = get_rule(self.rule) if self.rule else self._ad_hoc()
        rule = replace(rule, clock=self.clock or rule.clock)
        if self.keep:
            rule = replace(rule, keep=named(self.keep, clock=rule.clock))
        if self.order_by:
            rule = replace(rule, keep=(OrderByFields(self.order_by),))
        return replace(
            rule,
            conflict=self.conflict or rule.conflict,
            ignore=(*rule.ignore, *self.ignore),
            merge={**rule.merge, **self.merge},
            references={**rule.references, **self.references},
        )

    def _ad_hoc(self) -> DedupeRule:
        return DedupeRule(
            model=self.model,
            fields=self.key,
            constraint=self.constraint or None,
            nulls=self.nulls,
            keep=(Earliest(self.clock),),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Wording:
        words: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in data.items()}  # JSON has lists
        return cls(**words)


def rule_of(*, name: str, wording: Mapping[str, Any]) -> DedupeRule:
    """Return the rule that a plan was made by: as it was worded, or else the registered one of that name.

    Raises:
        UnknownRule: it was neither worded nor is it registered.
    """
    if wording:
        return Wording.from_json(wording).build()
    try:
        return get_rule(name)
    except UnknownRule as error:
        raise UnknownRule(
            f"{error} What made the plan, such as a migration, has a rule of its own: to go on, run that again "
            "(manage.py migrate)."
        ) from None
