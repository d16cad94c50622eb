"""Django's system checks: settings, rules, models and database agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage
from django.core.checks.registry import registry as registered
from django.db import connection
from django.db.models import Q, UniqueConstraint
from django.db.models.functions import Lower
from django.test import override_settings

from integrity.checks import check_databases, check_rules, check_systems
from integrity.dedupe import DedupeRule, Latest
from integrity.models import Invocation
from integrity.rules import register, registry
from tests.commands import CommandResult
from tests.databases import Database


@pytest.fixture(autouse=True)
def forgotten_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test register rules that are forgotten afterwards."""
    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))


def ours(**options: Any) -> list[CheckMessage]:
    """What our checks say; Django's own would ask the database about generated columns."""
    given = {"app_configs": None, "databases": None, **options}
    return [message for check in (check_systems, check_rules, check_databases) for message in check(**given)]


def test_django_runs_our_checks() -> None:
    assert {check_systems, check_rules, check_databases} <= {*registered.registered_checks}


def test_the_project_passes() -> None:
    assert ours() == []


@pytest.mark.parametrize(
    ("systems", "words"), [(["embeddings", "embedings"], "no system: 'embedings'"), ("embeddings", "is the string")]
)
def test_a_system_that_is_none_is_an_error(systems: object, words: str) -> None:
    with override_settings(INTEGRITY_SYSTEMS=systems):
        found = [message for message in ours() if message.id == "integrity.E001"]

    assert len(found) == 1
    assert words in found[0].msg
    assert "embeddings, clustering" in (found[0].hint or "")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (DedupeRule(model="integrity.Embeding", fields=("id",)), "Embeding"),
        (DedupeRule(model="Embedding", fields=("id",)), "Embedding"),
        (DedupeRule(model="integrity.Embedding", fields=("invocaton",)), "invocaton"),
        (DedupeRule(model="integrity.Embedding", constraint="no_such_name"), "no_such_name"),
        (DedupeRule(model="integrity.Embedding", fields=("invocation",), content=("vectr",)), "vectr"),
        (DedupeRule(model="integrity.Embedding", fields=("invocation",), keep=(Latest("made_at"),)), "made_at"),
        (DedupeRule(model="integrity.Embedding", fields=("invocation",), complete=(Q(vectr=1),)), "vectr"),
    ],
)
def test_a_rule_that_does_not_fit_its_model_is_an_error(rule: DedupeRule, words: str) -> None:
    register(rule)

    (found,) = ours()

    assert found.id == "integrity.E002"
    assert words in found.msg


def test_a_model_that_does_not_declare_the_constraint_is_a_warning() -> None:
    register(DedupeRule(model="integrity.Invocation", fields=("run", "sequence_number", "model")))

    (found,) = ours()

    assert found.id == "integrity.W001"
    assert "(run, sequence_number, model)" in found.msg


@pytest.mark.parametrize(
    "rule",
    [
        DedupeRule(model="integrity.Embedding", fields=("embedding_model", "invocation_id")),
        DedupeRule(model="integrity.Embedding", constraint="unique_invocation_embedding_model"),
        DedupeRule(model="integrity.Embedding", fields=("id",)),
    ],
)
def test_either_spelling_a_name_and_a_unique_field_are_declarations(rule: DedupeRule) -> None:
    register(rule)

    assert ours() == []


@pytest.mark.parametrize(
    ("declared", "wanted", "found"),
    [
        ({}, {}, []),
        ({}, {"condition": Q(vector=None)}, ["integrity.W001"]),
        ({"condition": Q(vector=None)}, {"condition": Q(vector=None)}, []),
        ({"nulls_distinct": False}, {}, ["integrity.W001"]),
    ],
)
def test_a_constraint_of_another_shape_is_no_declaration(
    monkeypatch: pytest.MonkeyPatch, declared: dict[str, Any], wanted: dict[str, Any], found: list[str]
) -> None:
    in_the_model = UniqueConstraint(Lower("model").desc(), "run", name="in_the_model", **declared)
    constraints = [*Invocation._meta.constraints, in_the_model]
    monkeypatch.setattr(Invocation._meta, "constraints", constraints)
    register(
        DedupeRule(
            model="integrity.Invocation", constraint=UniqueConstraint(Lower("model"), "run", name="wanted", **wanted)
        )
    )

    assert [message.id for message in ours()] == found


@override_settings(INTEGRITY_SYSTEMS=["workflows"])
def test_rules_of_systems_that_are_not_here_are_not_checked() -> None:
    register(DedupeRule(model="integrity.Embedding", fields=("invocaton",)))

    assert ours() == []


def test_only_the_apps_that_are_asked_for_are_checked() -> None:
    register(DedupeRule(model="integrity.Embedding", fields=("invocaton",)))

    assert ours(app_configs=[apps.get_app_config("auth")]) == []


def drop_the_constraint(database: Database) -> None:
    name = "unique_invocation_embedding_model"
    with connection.cursor() as cursor:
        if database.vendor == "postgresql":
            cursor.execute(f"ALTER TABLE embedding DROP CONSTRAINT {name}")
        else:
            cursor.execute(f"DROP INDEX {name}")


def test_a_database_that_agrees_passes(database: Database) -> None:
    assert ours(databases=["default"]) == []


def test_a_constraint_that_the_database_lost_is_a_warning(
    database: Database, call: Callable[..., CommandResult]
) -> None:
    drop_the_constraint(database)

    result = call("check", "--database", "default")

    assert result.code == 0
    assert "integrity.W002" in result.err
    assert "Nothing in the database refuses a second row" in result.err


def test_the_database_is_left_alone_unless_asked_for(database: Database) -> None:
    drop_the_constraint(database)

    assert ours() == []


def test_a_migration_that_waits_is_not_complained_of(database_at: Callable[[str], Database]) -> None:
    database_at("0001")

    assert ours(databases=["default"]) == []


def test_an_empty_database_is_not_complained_of(empty_database: Database) -> None:
    assert ours(databases=["default"]) == []
