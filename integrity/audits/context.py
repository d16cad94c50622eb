"""What an audit looks at: the tables of the active systems and of the registered rules, in one database."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.apps.registry import Apps

from integrity import conf
from integrity.backends import AuditQueries, Catalogue, RememberedCatalogue, get_audit_queries, get_catalogue
from integrity.dedupe.references import Reference, references_to
from integrity.dedupe.rule import DedupeRule
from integrity.dedupe.target import Target, resolve
from integrity.exceptions import IntegrityAppError
from integrity.rules import active_rules


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfitRule:
    """A rule that cannot be brought to this database, and why."""

    rule: DedupeRule
    table: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class AuditContext:
    """One database seen through one app registry. Everything is looked up once, when it is first asked for."""

    apps: Apps
    using: str

    @cached_property
    def catalogue(self) -> Catalogue:
        return RememberedCatalogue(get_catalogue(using=self.using))

    @cached_property
    def queries(self) -> AuditQueries:
        return get_audit_queries(using=self.using)

    @cached_property
    def rules(self) -> tuple[DedupeRule, ...]:
        """Rules whose model exists; Django's system checks speak of the others."""
        known = {model._meta.label_lower for model in self._candidates}
        return tuple(rule for rule in active_rules() if rule.model.lower() in known)

    @cached_property
    def models(self) -> tuple[Any, ...]:
        """Mirrored models of the active systems, and the models of rules, in the order of their tables."""
        of_rules = {rule.model.lower() for rule in self.rules}
        chosen = [m for m in self._candidates if conf.system_of(m) is not None or m._meta.label_lower in of_rules]
        return tuple(sorted(chosen, key=lambda model: model._meta.db_table))

    @cached_property
    def _candidates(self) -> tuple[Any, ...]:
        known = {None, *conf.systems()}
        return tuple(model for model in self.apps.get_models() if conf.system_of(model) in known)

    @cached_property
    def present(self) -> tuple[Any, ...]:
        """Those of the models whose table is there."""
        return tuple(model for model in self.models if self.catalogue.columns(model._meta.db_table))

    @cached_property
    def tables(self) -> tuple[str, ...]:
        return tuple(model._meta.db_table for model in self.present)

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The rules whose table is there and fits."""
        return tuple(found for found in self._brought if isinstance(found, Target))

    @cached_property
    def unfit(self) -> tuple[UnfitRule, ...]:
        """The rules whose table is there and does not fit."""
        return tuple(found for found in self._brought if isinstance(found, UnfitRule))

    @cached_property
    def _brought(self) -> tuple[Target | UnfitRule, ...]:
        tables = {model._meta.label_lower: model._meta.db_table for model in self.present}
        return tuple(
            self._bring(rule, tables[rule.model.lower()]) for rule in self.rules if rule.model.lower() in tables
        )

    def _bring(self, rule: DedupeRule, table: str) -> Target | UnfitRule:
        try:
            return resolve(rule, apps=self.apps, using=self.using)
        except IntegrityAppError as error:
            return UnfitRule(rule=rule, table=table, reason=str(error))

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Every foreign key from or to an audited table, whether a model or the database alone knows of it."""
        declared = (key.target_table for table in self.tables for key in self.catalogue.foreign_keys(table))
        targets = sorted({*self.tables, *declared})
        found = (
            reference
            for t in targets
            for reference in references_to(t, apps=self.apps, using=self.using, catalogue=self.catalogue)
        )
        audited = set(self.tables)
        # Generic foreign keys are references too, and no foreign keys.
        return tuple(r for r in found if not r.condition and {r.table, r.target_table} & audited)
