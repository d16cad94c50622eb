"""Who may see the rows of a table: whoever may see them on the pages of its model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import compress
from typing import Any

from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.http import HttpRequest

from integrity.dedupe import Group
from integrity.dedupe.removed import Quarantine


def may_see_table(user: Any, table: str) -> bool:
    """Whether the user may see the rows of a table. One that no model describes is for superusers."""
    models = [model._meta for model in apps.get_models() if model._meta.db_table == table]
    if not models:
        return bool(user.is_superuser)
    return any(
        user.has_perm(f"{meta.app_label}.{get_permission_codename(action, meta)}")
        for meta in models
        for action in ("view", "change")
    )


def visible_tables(user: Any, kept: Iterable[Quarantine]) -> frozenset[str]:
    """The tables of these whose rows the user may see."""
    return frozenset(quarantine.table for quarantine in kept if may_see_table(user, quarantine.table))


def visible_part(group: Group, *, pages: Any, request: HttpRequest) -> Group:
    """Return the group with those rows alone that the ``ModelAdmin`` ``pages`` shows to the user, each by a query.

    The counts of references go with their rows, and the reason with the first two, whose values it tells.
    """
    rows = [pages.get_object(request, member.pk) for member in group.members]
    seen = [row is not None and pages.has_view_permission(request, row) for row in rows]
    references = (
        replace(reference, counts=reference.counts and tuple(compress(reference.counts, seen)))
        for reference in group.references
    )
    return replace(
        group,
        members=tuple(compress(group.members, seen)),
        references=tuple(references),
        reason=group.reason if all(seen[:2]) else "",
    )
