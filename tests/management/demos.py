"""Let a test's database pass for the demo's own."""

from __future__ import annotations

import pytest
from django.db import connection

from integrity.demo import own_database
from tests.databases import Database


def demo_database(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the demo's database after this one, and lead the processes that the demo starts to it."""
    monkeypatch.setattr(own_database, "DATABASE_NAME", connection.settings_dict["NAME"])
    for variable, value in database.environment().items():
        monkeypatch.setenv(variable, value)
