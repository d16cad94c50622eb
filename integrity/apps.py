"""The app's entry in ``INSTALLED_APPS``."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class IntegrityConfig(AppConfig):
    """Registers the app under the label ``integrity``."""

    name = "integrity"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Load every app's rules, and the system checks that speak of them."""
        autodiscover_modules("rules")
        from integrity import checks  # noqa: F401 - importing it registers them; needs all models
