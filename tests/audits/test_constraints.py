"""Whether the database itself refuses a second row for a key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, connection
from django.db.models import Deferrable, UniqueConstraint
from django.db.models.functions import Lower

from integrity.audits import Level
from integrity.audits.constraints import compare
from integrity.audits.expected import ExpectedConstraint, expected_constraint
from integrity.backends import Index
from integrity.dedupe import DedupeRule
from integrity.dedupe.target import resolve
from integrity.models import Embedding
from integrity.rules import get_rule
from tests.audits.helpers import an_invocation, audit, execute
from tests.databases import Database

NAME = "unique_invocation_embedding_model"
UNIQUE = f"CREATE UNIQUE INDEX {NAME} ON embedding "

pytestmark = pytest.mark.usefixtures("unconstrained")


def test_an_absent_constraint_is_told_with_what_adds_it() -> None:
    (found,) = audit("constraints")

    assert (found.id, found.level) == ("integrity.A010", Level.ERROR)
    assert f"add {NAME}: manage.py migrate integrity" in found.hint


def test_a_model_of_ones_own_may_have_no_migration_to_run(ponies: Database) -> None:
    target = resolve(DedupeRule(model="ponies.Pony", fields=("code",)), apps=apps, using="default")

    words = expected_constraint(target).how_to_add

    assert words.startswith("add the constraint: manage.py migrate ponies, or, if no migration of it waits: ")
    assert words.endswith("manage.py add_unique ponies.Pony --key code")


@pytest.mark.parametrize(
    ("rule", "ends"),
    [
        ({"fields": ("name", "code")}, "manage.py add_unique ponies.Pony --key name,code"),
        (
            {"constraint": UniqueConstraint(Lower("name"), name="one_pony")},
            "manage.py add_unique ponies.Pony --constraint one_pony",
        ),
        ({"fields": ("name", "code"), "nulls": "equal"}, "declare a UniqueConstraint in the model's Meta and migrate."),
    ],
)
def test_where_the_model_is_somebody_elses_a_command_adds_it(ponies: Database, rule: dict[str, Any], ends: str) -> None:
    target = resolve(DedupeRule(model="ponies.Pony", **rule), apps=apps, using="default")

    assert expected_constraint(target).how_to_add.endswith(ends)


@pytest.mark.parametrize(
    "statement",
    [
        UNIQUE + "(invocation_id, embedding_model)",
        UNIQUE + "(embedding_model, invocation_id)",
        "CREATE UNIQUE INDEX named_otherwise ON embedding (invocation_id, embedding_model)",
    ],
)
def test_a_unique_index_on_the_key_is_the_constraint_whatever_its_name_and_order(statement: str) -> None:
    execute(statement)

    assert audit("constraints") == ()


@pytest.mark.parametrize(
    ("statement", "level", "words"),
    [
        (f"CREATE INDEX {NAME} ON embedding (invocation_id, embedding_model)", Level.ERROR, "is not unique"),
        (UNIQUE + "(invocation_id, started_at)", Level.ERROR, "is on (invocation_id, started_at)"),
        (UNIQUE + "(invocation_id, embedding_model, id)", Level.ERROR, "is on (invocation_id, embedding_model, id)"),
        (UNIQUE + "(invocation_id, lower(embedding_model))", Level.ERROR, "an expression"),
        (UNIQUE + "(invocation_id, embedding_model) WHERE vector IS NOT NULL", Level.ERROR, "only the rows WHERE"),
        (UNIQUE + "(invocation_id)", Level.WARNING, "is on (invocation_id)"),
    ],
)
def test_another_index_under_the_name_is_told_with_what_differs(statement: str, level: Level, words: str) -> None:
    execute(statement)

    (found,) = audit("constraints")

    assert (found.id, found.level) == ("integrity.A012", level)
    assert words in found.message


def test_a_right_index_beside_a_wrong_one_suffices() -> None:
    execute(
        "CREATE UNIQUE INDEX partly ON embedding (invocation_id, embedding_model) WHERE vector IS NOT NULL",
        UNIQUE + "(invocation_id, embedding_model)",
    )

    assert audit("constraints") == ()


@pytest.fixture
def on_postgresql(unconstrained: Database) -> None:
    """What SQLite has not."""
    if unconstrained.vendor != "postgresql":
        pytest.skip("PostgreSQL only: concurrent builds and deferrable constraints")


@pytest.mark.usefixtures("on_postgresql")
def test_a_deferrable_constraint_warns_of_on_conflict() -> None:
    execute(f"ALTER TABLE embedding ADD CONSTRAINT {NAME} UNIQUE (invocation_id, embedding_model) DEFERRABLE")

    (found,) = audit("constraints")

    assert (found.id, found.level) == ("integrity.A012", Level.WARNING)
    assert "ON CONFLICT" in found.message


def test_a_constraint_that_is_declared_deferrable_is_as_it_should_be() -> None:
    constraint = UniqueConstraint(fields=["id"], name="u", deferrable=Deferrable.DEFERRED)
    rule = DedupeRule(model="integrity.Embedding", constraint=constraint)
    declared = expected_constraint(resolve(rule, apps=apps, using="default"))

    assert declared.deferrable
    assert list(compare(declared, (index(columns=("id",), deferrable=True),))) == []


def test_what_adds_a_constraint_is_told_with_the_database() -> None:
    target = resolve(get_rule("embeddings"), apps=apps, using="default")

    wanted = expected_constraint(replace(target, using="other"))

    assert wanted.how_to_add == f"add {NAME}: manage.py migrate integrity --database other"


def fail_a_concurrent_build() -> None:
    """Leave what PostgreSQL leaves when duplicates end a concurrent build."""
    invocation = an_invocation()
    for _ in range(2):
        Embedding.objects.create(invocation=invocation, embedding_model="m")
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(UNIQUE.replace("INDEX", "INDEX CONCURRENTLY") + "(invocation_id, embedding_model)")
    Embedding.objects.all().delete()


@pytest.mark.usefixtures("on_postgresql")
def test_the_leftover_of_a_failed_build_refuses_nothing() -> None:
    fail_a_concurrent_build()

    (found,) = audit("constraints")

    assert (found.id, found.level) == ("integrity.A011", Level.ERROR)
    assert NAME in found.message
    assert "DROP INDEX CONCURRENTLY" in found.hint


@pytest.mark.usefixtures("on_postgresql")
def test_a_leftover_beside_the_constraint_is_a_warning() -> None:
    fail_a_concurrent_build()
    execute("CREATE UNIQUE INDEX another ON embedding (invocation_id, embedding_model)")

    (found,) = audit("constraints")

    assert (found.id, found.level) == ("integrity.A011", Level.WARNING)


def expected(**changes: object) -> ExpectedConstraint:
    values = {
        "table": "t", "key": "a", "name": "u", "columns": ("a",), "partial": False, "nulls_distinct": True,
        "nullable": True, "deferrable": False, "how_to_add": "add u",
    }  # fmt: skip
    return ExpectedConstraint(**{**values, **changes})  # type: ignore[arg-type]


def index(**changes: object) -> Index:
    values = {"name": "u", "columns": ("a",), "unique": True}
    return Index(**{**values, **changes})  # type: ignore[arg-type]


def test_an_index_that_accepts_many_nulls_is_not_a_constraint_that_does_not() -> None:
    (found,) = compare(expected(nulls_distinct=False), (index(nulls_distinct=True),))

    assert (found.id, found.level) == ("integrity.A012", Level.ERROR)


def test_an_index_that_takes_nulls_for_equal_refuses_more_than_asked() -> None:
    (found,) = compare(expected(), (index(nulls_distinct=False),))

    assert (found.id, found.level) == ("integrity.A012", Level.WARNING)


def test_how_nulls_are_treated_does_not_matter_where_there_are_none() -> None:
    assert list(compare(expected(nullable=False), (index(nulls_distinct=False),))) == []


def test_a_key_of_expressions_is_recognised_by_the_constraints_name() -> None:
    of_expressions = expected(columns=())

    assert list(compare(of_expressions, (index(columns=(None,)),))) == []
    assert [f.id for f in compare(of_expressions, (index(name="v", columns=(None,)),))] == ["integrity.A010"]


def test_a_rule_without_a_constraint_is_not_taken_for_a_primary_key_without_a_name() -> None:
    rowid = index(name="", columns=("id",), primary=True)

    assert [finding.id for finding in compare(expected(name=""), (rowid,))] == ["integrity.A010"]


def test_an_index_on_all_rows_refuses_more_than_a_partial_rule_asks() -> None:
    (found,) = compare(expected(partial=True), (index(),))

    assert (found.id, found.level) == ("integrity.A012", Level.WARNING)
