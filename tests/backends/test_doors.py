"""Databases that the app cannot work on are refused at its doors, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import psycopg
import pytest
from django.db import connections

from integrity.backends import UnsupportedDatabase, get_audit_queries, get_catalogue, get_rows
from tests.commands import CommandResult
from tests.databases import Database


def test_psycopg2_alone_is_refused(
    postgres_database: Database, call: Callable[..., CommandResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    psycopg2 = ModuleType("psycopg2")
    vars(psycopg2).update({**vars(psycopg), "__name__": "psycopg2"})
    monkeypatch.setattr(connections["default"], "Database", psycopg2)

    for door in (get_catalogue, get_rows, get_audit_queries):
        with pytest.raises(UnsupportedDatabase, match="needs psycopg 3"):
            door(using="default")
    assert "pip install 'psycopg[binary]'" in call("audit").err
