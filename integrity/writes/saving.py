"""Fields with a way of their own to be saved: packages hash, encrypt, compute, or set another column.

They do so in ``pre_save()``, or in a descriptor when the field is set. Both are asked as ``save()`` would ask them for
a new row, with an instance that holds what the row brings. What they set in columns that the row does not bring would
not reach an existing row, and no longer fit what does: such a row is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import getattr_static
from typing import Any

from django.db import models
from django.db.models.fields.files import FileDescriptor, ImageFileDescriptor
from django.db.models.fields.related_descriptors import ForeignKeyDeferredAttribute
from django.db.models.query_utils import DeferredAttribute

from integrity.models.fields import NaiveDateTimeField
from integrity.writes.values import Row, key_of

_PLAIN_PRE_SAVE = {
    cls.pre_save
    for cls in (
        models.Field,
        models.DateField,
        models.DateTimeField,
        models.TimeField,
        models.FileField,
        NaiveDateTimeField,
    )
}
"""Those that hand on the value as it is, but for automatic dates and new files, which are treated elsewhere."""
_PLAIN_DESCRIPTORS = {DeferredAttribute, ForeignKeyDeferredAttribute, FileDescriptor, ImageFileDescriptor}


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Turns rows into what an instance of the model would save of them."""

    model: type[models.Model]
    given: Mapping[models.Field[Any, Any], str]
    """The fields that the rows bring, with the rows' names for them."""
    constants: Mapping[models.Field[Any, Any], Any]
    """Values that all rows get."""
    own: Sequence[models.Field[Any, Any]]
    """The fields that save themselves, whether brought or not."""
    left: Sequence[models.Field[Any, Any]]
    """The fields that no row brings: an existing row keeps its own."""
    using: str

    def saved(self, row: Row) -> Row:
        """Return the row with the values to be stored, with fields that were not brought under their attribute's name.

        Raises:
            ValueError: saving the row sets columns that it does not bring, or it brings an object that is not saved.
        """
        instance = self.model()
        instance._state.db = self.using
        held = vars(instance)
        defaults = {field.attname: held[field.attname] for field in self.left if field.attname in held}
        held.update(dict.fromkeys(defaults))
        values = {**self.constants, **{field: row[name] for field, name in self.given.items()}}
        for field in sorted(values):  # in the order of the model's, as Django sets them
            value = values[field]
            key_of(value, field)  # refuses what is not saved, whose key would be NULL
            setattr(instance, field.name if isinstance(value, models.Model) else field.attname, value)
        also = {name for name in defaults if held[name] is not None}
        held.update((name, value) for name, value in defaults.items() if name not in also)
        own = {field: field.pre_save(instance, True) for field in self.own}
        also |= {name for name, value in defaults.items() if held[name] != value}
        if also:
            raise ValueError(
                f"saving what it brings sets {', '.join(sorted(also))} as well, which it does not bring. "
                "Bring that, too, in each row."
            )
        brought = {name: held.get(field.attname, row[name]) for field, name in self.given.items()}
        return {**brought, **{self.given.get(field, field.attname): value for field, value in own.items()}}


def saving_of(
    model: type[models.Model],
    *,
    given: Mapping[models.Field[Any, Any], str],
    constants: Mapping[models.Field[Any, Any], Any],
    using: str,
) -> Saving | None:
    """Return what saves the rows of one upsert; None where all fields store what they are given."""
    fields = [field for field in model._meta.local_concrete_fields if not (field.generated or _automatic(field))]
    own = [
        field
        for field in fields
        if (_prepares(field) and (field.has_default() or not field.has_db_default()))
        or ((field in given or field in constants) and (_prepares(field) or _is_set_oddly(field)))
    ]
    left = [field for field in fields if field not in given and field not in constants and field not in own]
    return Saving(model=model, given=given, constants=constants, own=own, left=left, using=using) if own else None


def _automatic(field: models.Field[Any, Any]) -> bool:
    return getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)


def _prepares(field: models.Field[Any, Any]) -> bool:
    return type(field).pre_save not in _PLAIN_PRE_SAVE


def _is_set_oddly(field: models.Field[Any, Any]) -> bool:
    return type(getattr_static(field.model, field.attname, None)) not in _PLAIN_DESCRIPTORS
