"""Which tables belong into which database."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from integrity import conf

SITE = "site"


class SiteRouter:
    """Keeps the site's tables (users, sessions, admin log, content types) out of everybody else's database.

    Every database but the site's receives the tables of the app ``integrity`` only; the site's receives all others.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return DEFAULT_DB_ALIAS if model._meta.app_label == conf.OURS else SITE

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return self.db_for_read(model, **hints)

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool | None:
        return None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return (app_label == conf.OURS) != (db == SITE)


class SystemsRouter:
    """Keeps the tables of the systems that ``INTEGRITY_SYSTEMS`` does not name out of every database."""

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        if app_label != conf.OURS or model_name is None:
            return None
        try:
            system = conf.system_of(apps.get_model(app_label, model_name))
        except LookupError:
            return None  # a model of an old migration that is gone today
        return None if system is None or system in conf.systems() else False
