"""How stored values are shown: short in lists, whole on a row's own page, never as Python spells them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from django.contrib.admin.utils import quote
from django.db import models
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrity.backends import get_catalogue
from integrity.dedupe.abbreviation import abbreviate
from integrity.models.fields import MalformedVector, PgVectorField, VectorField

Cell = Callable[[Any], Any]


def listed(field: models.Field[Any, Any], *, site: str) -> str | Cell:
    """Return what ``list_display`` takes for a field: a link for a foreign key, an abbreviation for large values."""
    if isinstance(field, models.ForeignKey):
        return _cell(field, lambda row: _link(field, row, site=site))
    if _is_binary(field):
        return _cell(field, lambda row: (_binary(getattr(row, field.attname)) or "").partition(": ")[0] or None)
    if isinstance(field, models.TextField | models.JSONField):
        return _cell(field, lambda row: abbreviate(getattr(row, field.attname)))
    if isinstance(field, models.DateTimeField):
        return _cell(field, lambda row: abbreviate(getattr(row, field.attname)))
    return field.name


def shown(field: models.Field[Any, Any], *, site: str) -> str | Cell:
    """Return what ``readonly_fields`` takes for a field: texts are whole, and a dangling reference is told."""
    if isinstance(field, models.ForeignKey):
        return _cell(field, lambda row: _checked_link(field, row, site=site))
    if isinstance(field, models.JSONField):
        return _cell(field, lambda row: _json(getattr(row, field.attname)))
    if _is_binary(field):
        return _cell(field, lambda row: _binary(getattr(row, field.attname)))
    return field.name if isinstance(field, models.TextField) else listed(field, site=site)


def link_to(model: Any, pk: Any, *, site: str) -> SafeString | str:
    """Return a link to a row's page, or its primary key alone where the site has no such page."""
    try:
        url = reverse(f"{site}:{model._meta.app_label}_{model._meta.model_name}_change", args=[quote(pk)])
    except NoReverseMatch:
        return str(pk)
    return format_html('<a href="{}">{}</a>', url, pk)


def _cell(field: models.Field[Any, Any], show: Cell) -> Cell:
    def cell(row: Any) -> Any:
        return show(row)

    cell.short_description = field.verbose_name  # type: ignore[attr-defined]
    cell.admin_order_field = field.attname  # type: ignore[attr-defined]
    return cell


def _is_binary(field: models.Field[Any, Any]) -> bool:
    return isinstance(field, models.BinaryField | VectorField | PgVectorField)


def _link(field: Any, row: Any, *, site: str) -> SafeString | str | None:
    # By the column alone: following the reference would ask for each row, and a join would hide the orphans.
    pk = getattr(row, field.attname)
    return None if pk is None else link_to(field.remote_field.model, pk, site=site)


def _checked_link(field: Any, row: Any, *, site: str) -> SafeString | str | None:
    link = _link(field, row, site=site)
    target, pk, using = field.remote_field.model, getattr(row, field.attname), row._state.db
    if link is None or target._meta.db_table not in get_catalogue(using=using).tables():
        return pk and str(pk)
    if target._base_manager.using(using).filter(pk=pk).exists():
        return link
    return f"{pk} — dangling: there is no such {target._meta.verbose_name}"


def _binary(value: Any) -> str | None:
    """A blob or a vector in words; what follows the colon is left out of lists."""
    if isinstance(value, np.ndarray):
        return abbreviate(value.astype("<f4").tobytes(), vector=True)
    said = abbreviate(value)
    return f"malformed vector, {said}" if isinstance(value, MalformedVector) else said


def _json(value: Any) -> SafeString | None:
    if value is None:
        return None
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False, default=str))
