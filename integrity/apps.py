"""The app's entry in ``INSTALLED_APPS``."""

from django.apps import AppConfig


class IntegrityConfig(AppConfig):
    """Registers the app under the label ``integrity``."""

    name = "integrity"
    default_auto_field = "django.db.models.BigAutoField"
