"""What a preview says of rows that nothing in the plan is about."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db.models import Manager, Q

from integrity.dedupe import DedupeRule, SoftReference, make_plan
from tests.databases import Database
from tests.ponies.models import Pony, SecretNote, Toy, Visit

MANY = "integrity.dedupe.caveats._MANY"
HIDES = "In 1 of the groups ponies.Pony.objects hides the row that stays, and not all that go"


def caveats(**rule: Any) -> tuple[str, ...]:
    """Those of a plan for ponies of one name."""
    rule = {"model": "ponies.Pony", "fields": ("name",), **rule}
    return make_plan(DedupeRule(**rule), apps=apps, using="default").caveats


def make(*gone: bool) -> list[Pony]:
    """Ponies of one name; those that are gone are hidden by the default manager."""
    return [Pony.all_objects.create(name="Rain", gone=each) for each in gone]


def test_a_hidden_row_that_stays_in_place_of_one_that_is_seen_is_told(ponies: Database) -> None:
    make(True, False, True)
    Pony.all_objects.create(name="Star", gone=True)

    [caveat] = caveats()

    assert caveat.startswith(HIDES)
    assert caveats(complete=(Q(gone=False),)) == ()


@pytest.mark.parametrize("gone", [(False, True), (True, True), (False, False)])
def test_where_what_is_seen_stays_or_nothing_is_seen_there_is_nothing_to_tell(
    ponies: Database, gone: tuple[bool, ...]
) -> None:
    make(*gone)

    assert caveats() == ()


def test_a_default_manager_that_cannot_be_asked_is_not(ponies: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_tenant(self: Manager[Any]) -> None:
        raise RuntimeError("no tenant")

    make(True, False)
    monkeypatch.setattr(type(Pony.objects), "get_queryset", no_tenant)

    assert caveats() == ()


def test_a_row_that_goes_and_is_named_beside_a_content_type_is_told(ponies: Database) -> None:
    first, second, third = make(False, False, False)
    pony, toy = (ContentType.objects.get_for_model(model) for model in (Pony, Toy))
    for kind, named in ((pony, first), (pony, second), (pony, second), (toy, third)):
        Visit.objects.create(content_type=kind, object_id=str(named.pk))

    [caveat] = caveats()

    assert caveat.startswith("ponies_visit.object_id names 1 of the rows that go by content type and id")
    visits = SoftReference(source="ponies.Visit", field="object_id", content_type="content_type")
    assert caveats(soft_references=(visits,)) == ()


def test_a_group_that_takes_longer_than_a_batch_may_is_told(ponies: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    _, second, _ = make(False, False, False)
    for n in range(4):
        SecretNote.objects.create(pony=second, text=f"note {n}")
    monkeypatch.setattr(MANY, 2)

    said = caveats()

    assert [caveat.partition(",")[0] for caveat in said] == [
        "One group has 3 rows of ponies_pony",
        "One group has 4 rows of ponies_secretnote",
    ]
    monkeypatch.setattr(MANY, 4)
    assert caveats() == ()


def test_a_large_group_that_stays_is_not(ponies: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    _, foal = (Pony.all_objects.create(name="Rain", foaled=year) for year in (1, 2))
    for n in range(4):
        SecretNote.objects.create(pony=foal, text=f"note {n}")
    monkeypatch.setattr(MANY, 1)
    assert len(caveats()) == 2

    assert caveats(conflict="refuse") == ()
