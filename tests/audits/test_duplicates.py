"""Which tables hold more than one row for a key."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest

from integrity.audits import Level
from integrity.dedupe import DedupeRule
from integrity.models import Embedding
from integrity.rules import registry
from tests.audits.helpers import an_invocation, audit, ids
from tests.commands import CommandResult
from tests.databases import Database

NAME = "unique_invocation_embedding_model"


def test_groups_and_redundant_rows_are_counted(dirty: Database) -> None:
    (found,) = audit("duplicates")

    assert (found.id, found.level, found.object) == ("integrity.A001", Level.ERROR, "embedding")
    assert found.details == {"rule": "embeddings", "groups": 25, "redundant": 25}
    assert found.message == "25 duplicate groups of (invocation_id, embedding_model) with 25 redundant rows."


def test_the_hint_is_the_command_that_shows_what_would_go(
    dirty: Database, monkeypatch: pytest.MonkeyPatch, call: Callable[..., CommandResult]
) -> None:
    rule = DedupeRule(name="file chunks' embeddings", model="integrity.Embedding", constraint=NAME)
    monkeypatch.setattr(registry, "_RULES", {rule.name: rule})

    (found,) = audit("duplicates")

    _, _, command = found.hint.partition("manage.py ")
    assert "25  rows that share a key" in call(*shlex.split(command)).out


@pytest.mark.usefixtures("unconstrained")
def test_one_group_is_one() -> None:
    invocation = an_invocation()
    for _ in range(3):
        Embedding.objects.create(invocation=invocation, embedding_model="m")
    Embedding.objects.create(invocation=invocation, embedding_model="another")

    (found,) = audit("duplicates")

    assert found.message.startswith("1 duplicate group of")
    assert found.message.endswith("with 2 redundant rows.")


@pytest.mark.usefixtures("unconstrained")
def test_different_keys_are_no_duplicates() -> None:
    invocation = an_invocation()
    for model in ("a", "A", "a "):
        Embedding.objects.create(invocation=invocation, embedding_model=model)

    assert ids(audit("duplicates")) == []
