"""Groups of a model that goes out of its way to hide its rows."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db.models import QuerySet

from integrity.dedupe import DedupeRule, inspect_group
from tests.databases import Database
from tests.ponies.models import Brain, Pony
from tests.ponies.tables import make_tables


@pytest.fixture
def ponies(database: Database) -> QuerySet[Pony]:
    """All ponies, those that even the base manager hides included."""
    make_tables()
    return QuerySet(Pony)


def test_rows_that_every_manager_hides_are_compared_and_their_references_counted(ponies: QuerySet[Pony]) -> None:
    hidden, seen = (ponies.create(name="same", gone=gone) for gone in (True, False))
    Brain(pony=hidden, thoughts="none").save()

    group = inspect_group(DedupeRule(model="ponies.Pony", fields=("name",)), pk=hidden.pk, apps=apps, using="default")

    assert [member.pk for member in group.members] == [str(hidden.pk), str(seen.pk)]
    counts = {reference.table: reference.counts for reference in group.references}
    assert counts["ponies_brain"] == (1, 0)
