"""The app's entry in ``INSTALLED_APPS``."""

from django.apps import AppConfig


class PoniesConfig(AppConfig):
    name = "tests.ponies"
    label = "ponies"
    default_auto_field = "django.db.models.BigAutoField"
