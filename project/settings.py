"""The project's settings. This is the only reader of the environment.

============================  =======================================================================
``DATABASE_URL``              the database to look after; unset: the embedded PostgreSQL
``SITE_DATABASE_URL``         where users, sessions and the admin log live; ``default``: in the same one
``INTEGRITY_SYSTEMS``         comma-separated: the systems whose tables that database holds
``EMBEDDING_PROVIDER``        who makes vectors: ``offline`` (unset), ``openai``, ``sentence-transformers``
``EMBEDDING_MODEL``           the provider's model; unset: its own default
``EMBEDDING_MODEL_PATH``      the folder of that model here, for ``sentence-transformers``; unset: found by its name
``EMBEDDING_DIMENSIONS``      numbers per vector; unset: the provider's own default
``EMBEDDING_LEASE``           seconds for which a dead worker's messages stay hidden; unset: 60
``OPENAI_BASE_URL``           any server that speaks OpenAI's API; read by the SDK, as is ``OPENAI_API_KEY``
``SECRET_KEY``                unset: generated once, in a file of this account
``ALLOWED_HOSTS``             comma-separated; unset: this machine only
``DEBUG``                     ``1`` shows details of errors in the browser
============================  =======================================================================
"""

from __future__ import annotations

import os

from django.core.exceptions import ImproperlyConfigured

from integrity.conf import SYSTEMS
from project import databases
from project.local import CHECKOUT, NoPrivateFolder, OpenToOthers, private_folder, secret_key


def _words(variable: str, *, default: tuple[str, ...]) -> tuple[str, ...]:
    given = os.environ.get(variable)
    if given is None:
        return default
    return tuple(word for word in (part.strip() for part in given.split(",")) if word)


def _number(variable: str, *, default: int) -> int:
    given = os.environ.get(variable) or str(default)
    if not given.isdecimal() or not int(given):
        raise ImproperlyConfigured(f"{variable} is {given!r}; it is a whole number from 1, such as {default}.")
    return int(given)


BASE_DIR = CHECKOUT

try:
    SECRET_KEY = os.environ.get("SECRET_KEY") or secret_key()
    DATABASES = {"default": databases.owners_database(url=os.environ.get("DATABASE_URL", ""))}
    site = databases.site_database(
        url=os.environ.get("SITE_DATABASE_URL", ""),
        default=DATABASES["default"],
        file=private_folder() / "site.sqlite3",
    )
except (NoPrivateFolder, OpenToOthers) as error:
    raise ImproperlyConfigured(str(error)) from error
DATABASE_ROUTERS = ["project.routers.SystemsRouter"]
if site is not None:
    DATABASES["site"] = site
    DATABASE_ROUTERS.append("project.routers.SiteRouter")

INTEGRITY_SYSTEMS = _words("INTEGRITY_SYSTEMS", default=SYSTEMS)
if unknown := sorted(set(INTEGRITY_SYSTEMS) - set(SYSTEMS)):
    raise ImproperlyConfigured(f"INTEGRITY_SYSTEMS names {', '.join(unknown)}; there are only: {', '.join(SYSTEMS)}.")

INTEGRITY_EMBEDDING_PROVIDER: dict[str, object] = {}
if name := os.environ.get("EMBEDDING_PROVIDER"):
    INTEGRITY_EMBEDDING_PROVIDER["name"] = name
if model := os.environ.get("EMBEDDING_MODEL"):
    INTEGRITY_EMBEDDING_PROVIDER["model"] = model
if path := os.environ.get("EMBEDDING_MODEL_PATH"):
    INTEGRITY_EMBEDDING_PROVIDER["path"] = path
if os.environ.get("EMBEDDING_DIMENSIONS"):
    INTEGRITY_EMBEDDING_PROVIDER["dimensions"] = _number("EMBEDDING_DIMENSIONS", default=1536)
INTEGRITY_EMBEDDING_LEASE = _number("EMBEDDING_LEASE", default=60)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_extensions",
    "integrity",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
STATIC_URL = "static/"

# With DEBUG, Django keeps every statement in memory; a tool for large tables starts without.
DEBUG = os.environ.get("DEBUG", "") == "1"
ALLOWED_HOSTS = list(_words("ALLOWED_HOSTS", default=("localhost", "127.0.0.1", "[::1]")))

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
