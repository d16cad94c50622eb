"""Models that name the schema of their table although the search path finds it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.apps import apps

from integrity.dedupe import DedupeRule, InvalidRule, make_plan, undo_run
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, column, merge, quarantined, twins
from tests.ponies.models import Passport, Pony
from tests.snapshots import snapshot

pytestmark = pytest.mark.postgres


@pytest.fixture(params=['public"."{}', '"public"."{}"'])
def qualified(
    request: pytest.FixtureRequest, postgres_ponies: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Both models say in which schema their tables are, in the two ways that Django takes."""
    for model in (Pony, Passport):
        monkeypatch.setattr(model._meta, "db_table", request.param.format(model._meta.db_table))
    forget_columns()
    yield
    monkeypatch.undo()
    forget_columns()


def forget_columns() -> None:
    """Fields remember the table that their column was first asked for of."""
    for model in (Pony, Passport):
        for field in model._meta.local_fields:
            field.__dict__.pop("cached_col", None)


@pytest.mark.usefixtures("qualified")
def test_a_table_with_two_names_is_one() -> None:
    first, second = twins(sire_id=1, friend_id=1)
    for pony in (first, second):
        Passport.objects.create(pony=pony, number=f"of {pony.pk}")
    Pony.all_objects.create(pk=3, name="Dusty", sire=second, friend=second)
    before = snapshot()

    run = merge(ONE_NAME)

    assert (run.removed, run.collisions, run.refused) == (1, 1, ())
    assert column("ponies_pony", "sire_id") == [1, None]
    assert column("ponies_passport", "pony_id") == [1]
    assert [row["number"] for row in quarantined("ponies_passport")] == ["of 2"]
    assert undo_run(run.id, apps=apps, using="default").refused == ()
    assert snapshot() == before


@pytest.mark.usefixtures("qualified")
def test_a_policy_names_the_table_as_the_preview_does() -> None:
    _, second = twins()
    Passport.objects.create(pony=second, number="1")
    rule = DedupeRule(model="ponies.Pony", fields=("name",), references={"ponies_passport.pony_id": "refuse"})

    assert make_plan(rule, apps=apps, using="default").refused_groups == 1
    with pytest.raises(InvalidRule, match=r"Known of table 'ponies_passport': ponies_passport.pony_id"):
        make_plan(
            DedupeRule(
                model="ponies.Pony", fields=("name",), references={'public"."ponies_passport.pony_id': "refuse"}
            ),
            apps=apps,
            using="default",
        )
