"""The rules that commands, audits and pages know by name."""

from __future__ import annotations

from integrity.dedupe.rule import DedupeRule
from integrity.exceptions import IntegrityAppError

_RULES: dict[str, DedupeRule] = {}


class UnknownRule(IntegrityAppError):
    """No rule of that name is registered."""


def register(rule: DedupeRule) -> DedupeRule:
    """Make a rule known under its name, and return it. A second rule of that name replaces the first."""
    _RULES[rule.name] = rule
    return rule


def get_rule(name: str) -> DedupeRule:
    """Return a registered rule.

    Raises:
        UnknownRule: there is none of that name.
    """
    try:
        return _RULES[name]
    except KeyError:
        known = ", ".join(sorted(_RULES)) or "none"
        raise UnknownRule(f"There is no rule {name!r}. Registered: {known}.") from None


def active_rules() -> tuple[DedupeRule, ...]:
    """All registered rules, in the order of their names."""
    return tuple(_RULES[name] for name in sorted(_RULES))
