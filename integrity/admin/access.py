"""Who may see the rows of a table: whoever may see them on the pages of its model."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth import get_permission_codename


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
