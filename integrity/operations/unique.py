"""Migrations that add and remove a unique constraint while the table is in use."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import AddConstraint, RemoveConstraint
from django.db.migrations.state import ProjectState

from integrity.backends.unique import get_unique
from integrity.dedupe import DedupeRule, InvalidRule
from integrity.operations.online import add_unique_online
from integrity.operations.scope import Site, site_of

OnDuplicates = Literal["remove", "refuse"]


class AddUniqueConstraintOnline(AddConstraint):
    """Add a unique constraint to a table that others go on writing to.

    ``rule`` says which row of a duplicate group stays; its key is the constraint's. Without a rule, or with
    ``on_duplicates="refuse"``, duplicates are an error and nothing is changed. An equivalent constraint or index
    that is there already is accepted, and reversing then leaves it. A constraint that the model's state has
    already is only made sure of. The migration needs ``atomic = False``.
    """

    constraint: models.UniqueConstraint

    def __init__(
        self,
        model_name: str,
        constraint: models.UniqueConstraint,
        *,
        rule: DedupeRule | None = None,
        on_duplicates: OnDuplicates | None = None,
    ) -> None:
        if on_duplicates == "remove" and rule is None:
            raise InvalidRule('on_duplicates="remove" needs a rule that says which row of a duplicate group stays.')
        if rule is not None and rule.fields and rule.fields != tuple(constraint.fields):
            raise InvalidRule(
                f"The rule's key ({', '.join(rule.fields)}) is not that of {constraint.name} "
                f"({', '.join(constraint.fields) or 'expressions'}). Leave `fields` to the constraint: "
                "DedupeRule(constraint=...)."
            )
        super().__init__(model_name, constraint)
        self.rule = rule
        self.on_duplicates: OnDuplicates = on_duplicates or ("remove" if rule else "refuse")

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a migration writes."""
        kwargs = {"model_name": self.model_name, "constraint": self.constraint, "rule": self.rule}
        if self.on_duplicates != ("remove" if self.rule else "refuse"):
            kwargs["on_duplicates"] = self.on_duplicates
        return type(self).__name__, [], {key: value for key, value in kwargs.items() if value is not None}

    def describe(self) -> str:
        """Say what both directions do."""
        adding = f"Add {self.constraint.name} to {self.model_name} while it is in use"
        return "; ".join(filter(None, (adding, self._removal, "reversing removes it")))

    def reduce(self, operation: Operation, app_label: str) -> bool | list[Operation]:
        """Vanish before a removal; never become Django's own operation."""
        reduced = super().reduce(operation, app_label)
        if isinstance(reduced, list) and any(type(kept) is AddConstraint for kept in reduced):
            return False
        return reduced

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Add the constraint to the state unless it is there."""
        have = state.models[app_label, self.model_name_lower].options.get("constraints", [])
        if all(constraint.name != self.constraint.name for constraint in have):
            super().state_forwards(app_label, state)

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Add it.

        Raises:
            OperationRefused: duplicates remain, something else has its name, or a lock was not to be had.
        """
        model = to_state.apps.get_model(app_label, self.model_name)
        with site_of(self, model=model, state=from_state, schema_editor=schema_editor) as site:
            if site is None:
                return
            if site.only_print:
                script = get_unique(using=site.using).script(model=model, constraint=self.constraint)
                if script and self._removal:
                    schema_editor.collected_sql.append(f"-- before that, {self._removal}")
                schema_editor.collected_sql.extend(script or ("-- nothing: this database has no such constraint",))
                return
            self._add(site)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Remove it if it was added here. Removed rows stay restorable."""
        model = from_state.apps.get_model(app_label, self.model_name)
        with site_of(self, model=model, state=from_state, schema_editor=schema_editor) as site:
            if site is not None:
                _remove(site, self.constraint, schema_editor)

    @property
    def _removal(self) -> str:
        """What becomes of duplicates, in words; empty where they are refused."""
        if self.rule is None or self.on_duplicates == "refuse":
            return ""
        key = ", ".join(self.constraint.fields or map(str, self.constraint.expressions))
        return f"redundant rows of ({key}) go to quarantine by the rule {self.rule.name!r}"

    def _add(self, site: Site) -> None:
        add_unique_online(
            model=site.model,
            constraint=self.constraint,
            rule=self.rule if self.on_duplicates == "remove" else None,
            apps=site.apps,
            using=site.using,
            say=site.say,
            begin=partial(site.ledger.note_added, self.constraint.name),
        )


class RemoveUniqueConstraintOnline(RemoveConstraint):
    """Remove a unique constraint without waiting long for any lock; reversing adds it while the table is in use.

    On an adopted table only what a migration added is dropped. The migration needs ``atomic = False``.
    """

    def describe(self) -> str:
        """Say what both directions do."""
        return f"Remove {self.name} from {self.model_name}; reversing adds it while the table is in use"

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Remove it."""
        model = from_state.apps.get_model(app_label, self.model_name)
        with site_of(self, model=model, state=from_state, schema_editor=schema_editor) as site:
            if site is not None:
                _remove(site, _constraint(from_state, app_label, self), schema_editor)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Add it again.

        Raises:
            OperationRefused: there are duplicates now.
        """
        adding = AddUniqueConstraintOnline(self.model_name, _constraint(to_state, app_label, self))
        adding.database_forwards(app_label, schema_editor, from_state, to_state)


def _remove(site: Site, constraint: models.UniqueConstraint, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if site.only_print:
        schema_editor.collected_sql.append(f"-- drops {constraint.name} of {site.table} if it was added here")
    elif site.ledger.was_added(constraint.name):
        get_unique(using=site.using).remove(model=site.model, constraint=constraint, say=site.say)
        site.ledger.forget_added(constraint.name)


def _constraint(state: ProjectState, app_label: str, operation: RemoveConstraint) -> models.UniqueConstraint:
    model = state.models[app_label, operation.model_name_lower]
    constraint: models.UniqueConstraint = model.get_constraint_by_name(operation.name)
    return constraint
