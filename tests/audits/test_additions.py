"""A guard that an addition has left, as after a SIGKILL."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import UniqueConstraint

from integrity.audits import Level
from integrity.backends.postgresql.definition import wanted_index
from integrity.backends.postgresql.guards import Guard
from integrity.models import Embedding
from tests.audits.helpers import audit, execute
from tests.databases import Database


@pytest.fixture
def guard(postgres_database: Database) -> Guard:
    """Of a constraint that the table has not got."""
    wanted = UniqueConstraint(fields=["started_at"], name="one_at_a_time")
    found = wanted_index(model=Embedding, constraint=wanted, connection=connection)
    assert found is not None
    index, key = found
    guard = Guard(table="embedding", index=index, key=key, connection=connection)
    guard.set_up(say=lambda _: None)
    return guard


def test_a_guard_that_was_left_is_told_with_what_takes_it_away(guard: Guard) -> None:
    (found,) = audit("additions")

    assert (found.id, found.level, found.object) == ("integrity.A070", Level.WARNING, "embedding")
    assert guard.name in found.message
    execute(found.hint.partition("take the guard away: ")[2])
    assert audit("additions") == ()
    execute(
        f"CREATE TABLE {guard.name} ()", f"CREATE TABLE {guard.name}_members ()"
    )  # nothing of it was there any more


def test_a_trigger_of_somebody_elses_is_none(postgres_database: Database) -> None:
    execute(
        "CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER same BEFORE UPDATE ON embedding FOR EACH ROW EXECUTE FUNCTION same()",
    )

    assert audit("additions") == ()
