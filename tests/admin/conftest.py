"""Browsers for the admin's pages: Django's test client, logged in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.audits.conftest import dirty as dirty
from tests.audits.conftest import unconstrained as unconstrained
from tests.databases import Database


@pytest.fixture
def browser(dirty: Database) -> Client:
    """A superuser's browser, on a database with 25 duplicate pairs of embeddings."""
    return _logged_in(User.objects.create_superuser("root"))


@pytest.fixture
def browser_with(dirty: Database) -> Callable[..., Client]:
    """Makes the browser of a member of staff who has these permissions, such as ``view_embedding``, and no others."""

    def make(*codenames: str) -> Client:
        user = User.objects.create_user("clerk", is_staff=True)
        user.user_permissions.set(
            Permission.objects.filter(content_type__app_label="integrity", codename__in=codenames)
        )
        return _logged_in(user)

    return make


def _logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client
