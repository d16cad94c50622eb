"""Generic foreign keys, which live on models only: which of them may point at rows of a table, and when they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps as live_apps
from django.apps.registry import Apps
from django.db import router
from django.db.models import IntegerField, UUIDField

from integrity.backends import Catalogue, get_catalogue
from integrity.backends.sql import SQL, compose


def generic_keys_to(
    models: Sequence[Any], *, apps: Apps, using: str, catalogue: Catalogue
) -> Iterator[tuple[Any, Any, str, SQL]]:
    """Yield the id field of every generic foreign key that may point at these models, which are all of one table.

    Beside it, the primary key's field, the type's column, and the condition under which a row ``c`` points there.
    """
    types = _content_types(models, apps, using=using, catalogue=catalogue)
    if not types:
        return
    pk = next(model for model in models if not model._meta.proxy)._meta.pk
    if pk.column is None:
        return  # Django has no generic foreign keys to composite primary keys
    for type_field, id_field in generic_keys_of_models(apps):
        if can_hold(id_field, pk):
            yield id_field, pk, type_field.column, _names_one_of(types, type_field.column)


def names_type_of(models: Sequence[Any], column: str, *, apps: Apps, using: str, catalogue: Catalogue) -> SQL | None:
    """Condition: the row ``c`` names in this column the content type of one of the models; None where none has one."""
    types = _content_types(models, apps, using=using, catalogue=catalogue)
    return _names_one_of(types, column) if types else None


def _names_one_of(types: set[int], column: str) -> SQL:
    return compose("c.{column} IN ({types})", column=column, types=SQL(", ".join(map(str, sorted(types)))))


def generic_keys_of_models(apps: Apps) -> Iterator[tuple[Any, Any]]:
    """Yield the two fields of every generic foreign key, for the type and for the id.

    A migration's registry has lost them: the live one is asked as well.
    """
    for model in (*apps.get_models(include_auto_created=True), *live_apps.get_models(include_auto_created=True)):
        for field in model._meta.private_fields:
            if hasattr(field, "ct_field") and hasattr(field, "fk_field"):
                yield model._meta.get_field(field.ct_field), model._meta.get_field(field.fk_field)


def undeclared_keys_of_models(apps: Apps) -> Iterator[tuple[Any, Any]]:
    """Yield the same for models that keep a content type and an id by their usual names, and declare no such key."""
    declared = {(known.model._meta.label_lower, known.name) for known, _ in generic_keys_of_models(apps)}
    for model in apps.get_models(include_auto_created=True):
        fields = {field.name: field for field in model._meta.local_concrete_fields}
        for name, field in fields.items():
            if names_types(field) and (model._meta.label_lower, name) not in declared:
                usual = (name.replace("content_type", of) for of in ("object_id", "object_pk"))
                yield from ((field, fields[of]) for of in usual if of in fields and of != name)


def names_types(field: Any) -> bool:
    """Whether it is a foreign key to content types."""
    return field.remote_field is not None and field.remote_field.model._meta.label_lower == "contenttypes.contenttype"


def can_hold(ids: Any, pk: Any) -> bool:
    """Whether a column for ids can hold those of this model: numbers only numbers, UUIDs only UUIDs, texts all."""
    while pk.remote_field is not None:  # a child's key is its parent's
        pk = pk.target_field
    return all(isinstance(pk, kind) for kind in (IntegerField, UUIDField) if isinstance(ids, kind))


def _content_types(models: Sequence[Any], apps: Apps, *, using: str, catalogue: Catalogue) -> set[int]:
    """Ids of the content types of models; none where there are none.

    They are those of the same database, as Django stores them, or else of the one that content types are kept in.
    """
    try:
        content_types: Any = apps.get_model("contenttypes", "ContentType")
    except LookupError:
        return set()
    kept = content_types._meta.db_table
    alias = using
    if kept not in catalogue.tables():
        alias = router.db_for_read(content_types)
        if kept not in get_catalogue(using=alias).tables():
            return set()
    names = {(m._meta.app_label, m._meta.model_name) for m in models}
    rows = content_types._base_manager.using(alias).filter(app_label__in={label for label, _ in names})
    return {row.pk for row in rows if (row.app_label, row.model) in names}
