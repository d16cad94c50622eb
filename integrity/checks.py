"""Django system checks: settings, rules, models and, where asked, the database agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections, router
from django.db.migrations.executor import MigrationExecutor

from integrity import conf
from integrity.audits.constraints import compare
from integrity.audits.context import AuditContext
from integrity.audits.expected import expected_constraint, is_declared
from integrity.backends import UnsupportedDatabase
from integrity.dedupe.fields import require_fields
from integrity.dedupe.rule import DedupeRule, InvalidRule, Key
from integrity.rules import active_rules

Configs = Sequence[AppConfig] | None


@register(Tags.compatibility)
def check_systems(**_: Any) -> list[CheckMessage]:
    """INTEGRITY_SYSTEMS is a list, and names known systems only."""
    given = getattr(settings, "INTEGRITY_SYSTEMS", ())
    if isinstance(given, str):  # whose letters would be taken for names
        fault = f"is the string {given!r}"
    elif unknown := [name for name in conf.systems() if name not in conf.SYSTEMS]:
        fault = f"names what is no system: {', '.join(map(repr, unknown))}"
    else:
        return []
    return [
        Error(
            f"INTEGRITY_SYSTEMS {fault}.",
            hint=f"Give a list of some of: {', '.join(conf.SYSTEMS)}.",
            id="integrity.E001",
        )
    ]


@register(Tags.compatibility)
def check_numbers(**_: Any) -> list[CheckMessage]:
    """Every setting that is a number is one, within its range."""
    return [message for read in conf.NUMBERS for message in _check_number(read)]


def _check_number(read: Callable[[], object]) -> Iterator[CheckMessage]:
    try:
        read()
    except conf.InvalidSetting as error:
        yield Error(str(error), hint="Correct it: whatever reads it stops.", id="integrity.E003")


@register(Tags.models)
def check_rules(app_configs: Configs = None, **_: Any) -> list[CheckMessage]:
    """Every rule fits its model, and the model declares the constraint that the rule needs."""
    return [message for rule in active_rules() if _is_asked(rule, app_configs) for message in _check_rule(rule)]


@register(Tags.database)
def check_databases(
    app_configs: Configs = None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Every rule's constraint is in the database, once its app's migrations are."""
    return [message for using in databases or () for message in _check_database(using, app_configs)]


def _is_asked(rule: DedupeRule, app_configs: Configs) -> bool:
    label = rule.model.partition(".")[0]
    return app_configs is None or label in {config.label for config in app_configs}


def _check_rule(rule: DedupeRule) -> Iterator[CheckMessage]:
    try:
        model = apps.get_model(rule.model)
        if conf.system_of(model) not in (None, *conf.systems()):
            return
        require_fields(rule, model)
        key = Key.of_rule(rule, model)
    except (LookupError, ValueError, InvalidRule) as error:
        yield Error(
            f"The rule {rule.name!r} does not fit {rule.model}: {error}",
            hint="Correct the rule: it cannot be used.",
            id="integrity.E002",
        )
        return
    if not is_declared(model=model, key=key):
        yield Warning(
            f"{rule.model} does not declare that ({', '.join(key.fields) or 'its key'}) is unique, as the rule "
            f"{rule.name!r} says.",
            hint="Add a UniqueConstraint of that shape to its Meta, and make a migration. If the model is not yours, "
            "silence this check (SILENCED_SYSTEM_CHECKS): the audits look at the database itself.",
            obj=model,
            id="integrity.W001",
        )


def _check_database(using: str, app_configs: Configs) -> Iterator[CheckMessage]:
    context = AuditContext(apps=apps, using=using)
    try:
        targets = context.targets
    except UnsupportedDatabase:
        return
    for target in targets:
        asked = _is_asked(target.rule, app_configs) and router.allow_migrate_model(using, target.model)
        # A migration that waits may be the one that adds the constraint: `migrate` itself runs this check first.
        if not asked or _has_waiting_migrations(target.model._meta.app_label, using):
            continue
        for finding in compare(expected_constraint(target), context.catalogue.indexes(target.table)):
            yield Warning(
                f"Database {using!r}: {finding.message}", hint=finding.hint, obj=target.model, id="integrity.W002"
            )


def _has_waiting_migrations(app_label: str, using: str) -> bool:
    executor = MigrationExecutor(connections[using])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes(app_label)))
