"""Whether the references that a rule has policies for are references."""

from __future__ import annotations

from django.apps.registry import Apps

from integrity.backends import get_catalogue
from integrity.dedupe.generickeys import generic_keys_of_models
from integrity.dedupe.references import foreign_keys_of_models, soft_column
from integrity.dedupe.rule import DedupeRule, InvalidRule


def check_policies(rule: DedupeRule, *, apps: Apps, using: str) -> None:
    """See that no policy is lost to a misspelling; a plan need not reach the reference.

    Raises:
        InvalidRule: the rule has a policy for what is no reference.
    """
    for label in rule.references:
        table = get_catalogue(using=using).name_of(label.rpartition(".")[0])
        known = sorted(_labels(table, rule, apps=apps, using=using))
        if label not in known:
            raise InvalidRule(
                f"The rule for {rule.model} has a policy for {label!r}, which is no reference. Name it by table and "
                f"column, as the preview does. Known of table {table!r}: {', '.join(known) or 'none'}."
            )


def _labels(table: str, rule: DedupeRule, *, apps: Apps, using: str) -> set[str]:
    """``table.column`` of each foreign key and each generic one, known to the database, to a model, or to the rule."""
    of_models = [*foreign_keys_of_models(apps), *(ids for _, ids in generic_keys_of_models(apps))]
    catalogue = get_catalogue(using=using)
    names = {key.columns for key in catalogue.foreign_keys(table)}
    names |= {(str(field.column),) for field in of_models if catalogue.name_of(field.model._meta.db_table) == table}
    declared = (soft_column(soft, apps, using) for soft in rule.soft_references)
    names |= {(column,) for source, column in declared if catalogue.name_of(source) == table}
    return {f"{table}.{','.join(columns)}" for columns in names}
