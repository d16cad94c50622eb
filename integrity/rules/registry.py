"""The rules that commands, audits and pages know by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, UniqueConstraint

from integrity import conf
from integrity.dedupe.rule import DedupeRule, Key
from integrity.exceptions import IntegrityAppError

_Model = TypeVar("_Model", bound=type[Model])

_RULES: dict[str, DedupeRule] = {}
_SYSTEMS: dict[str, str] = {}


class UnknownRule(IntegrityAppError):
    """No rule of that name is registered."""


def register(rule: DedupeRule, *, system: str = "") -> DedupeRule:
    """Make a rule known under its name, and return it. A second rule of that name replaces the first.

    ``system`` is the mirrored system whose tables it is about: where that is not in use, the rule is not active.
    """
    _RULES[rule.name] = rule
    if system:
        _SYSTEMS[rule.name] = system
    else:
        _SYSTEMS.pop(rule.name, None)
    return rule


def dedupe_rule(**options: Any) -> Callable[[_Model], _Model]:
    """Decorate a model class with a rule: ``@dedupe_rule(fields=("email",), keep=(Latest("updated_at"),))``.

    Takes what ``DedupeRule`` takes, but for the model.
    """

    def decorate(model: _Model) -> _Model:
        register(DedupeRule(model=model._meta.label, **options))
        return model

    return decorate


def get_rule(name: str) -> DedupeRule:
    """Return a registered rule.

    Raises:
        UnknownRule: there is none of that name.
    """
    try:
        return _RULES[name]
    except KeyError:
        known = ", ".join(rule.name for rule in active_rules()) or "none"
        raise UnknownRule(
            f"There is no rule {name!r}. Registered: {known}. "
            "Beside a model, say what is unique in it: --key or --constraint."
        ) from None


def rule_for(*, model: type[Model], constraint: UniqueConstraint) -> DedupeRule | None:
    """The active rule whose key is that of the constraint, if there is one.

    Raises:
        InvalidRule: a rule of the model does not fit it.
    """
    return next((rule for rule in _rules_of(model) if Key.of_rule(rule, model).is_that_of(constraint, model)), None)


def constraints_of(model: type[Model]) -> dict[str, UniqueConstraint]:
    """The unique constraints that a model declares, and those that active rules bring for it, by name."""
    brought = (rule.constraint for rule in _rules_of(model))
    known = (c for c in (*brought, *model._meta.constraints) if isinstance(c, UniqueConstraint))
    return {constraint.name: constraint for constraint in known}


def _rules_of(model: type[Model]) -> list[DedupeRule]:
    return [rule for rule in active_rules() if rule.model.lower() == model._meta.label_lower]


def active_rules() -> tuple[DedupeRule, ...]:
    """All registered rules, in the order of their names, but those of mirrored systems that are not in use."""
    in_use = conf.systems()
    return tuple(_RULES[name] for name in sorted(_RULES) if _SYSTEMS.get(name) is None or _SYSTEMS[name] in in_use)
