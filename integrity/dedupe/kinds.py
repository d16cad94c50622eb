"""Kinds: a row may say, by a content type, in which child's table the rest of it is.

Polymorphic models and pages of a site keep the class of a row so, in the table of the parent. The child's row that
followed a merge to a row of another class would complete a row that denies it, and neither could be loaded again.
"""

from __future__ import annotations

from typing import Any

from django.apps.registry import Apps

from integrity.backends import Catalogue
from integrity.backends.sql import SQL, compose
from integrity.dedupe.generickeys import generic_keys_of_models, names_types
from integrity.dedupe.stages import Stage, StagedReference


def kind_of_parent(reference: StagedReference, table: str, *, apps: Apps, catalogue: Catalogue) -> Any:
    """The field by which the rows that a child's table completes say what they are; None where there is none."""
    for model in apps.get_models():
        if catalogue.name_of(model._meta.db_table) == catalogue.name_of(table):
            for parent, link in model._meta.parents.items():
                if link is not None and (link.column,) == reference.columns:
                    return next((field for field in parent._meta.concrete_fields if _is_kind(field, apps)), None)
    return None


def changes_kind(reference: StagedReference, stage: Stage, kind: Any) -> SQL:
    """Condition: the staged child's row moves to a row that says it is something else than the one it completed."""
    return compose(
        """
        action = 'repoint' AND EXISTS (
            SELECT 1 FROM {parent} AS a JOIN {parent} AS b
            ON a.{kind} <> b.{kind} OR (a.{kind} IS NULL AND b.{kind} IS NOT NULL)
            OR (a.{kind} IS NOT NULL AND b.{kind} IS NULL)
            WHERE a.{pk} = {stage}.{old} AND b.{pk} = {stage}.{new}
        )
        """,
        parent=kind.model._meta.db_table,
        pk=kind.model._meta.pk.column,
        kind=kind.column,
        stage=stage.name,
        old=reference.old[0],
        new=reference.new[0],
    )


def _is_kind(field: Any, apps: Apps) -> bool:
    """Whether it names a content type for itself, and not for the id beside it."""
    if not names_types(field):
        return False
    named = {(known.model._meta.label_lower, known.name) for known, _ in generic_keys_of_models(apps)}
    return (field.model._meta.label_lower, field.name) not in named
