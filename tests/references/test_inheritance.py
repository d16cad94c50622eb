"""A row whose own key is a reference: what references it must follow."""

from __future__ import annotations

from django.contrib.contenttypes.models import ContentType

from tests.ponies.merging import column
from tests.ponies.models import Animal, Horn, Oak, Plant, Rose, Unicorn
from tests.references.conftest import Merge


def test_a_parent_whose_twin_is_a_child_too_becomes_the_child(merge: Merge) -> None:
    Animal.objects.create(pk=1, tag="a")
    Unicorn.objects.create(pk=2, tag="a", sparkle=2)
    Horn.objects.create(unicorn_id=2, length=3)

    merge(model="ponies.Animal", fields=("tag",))

    assert list(Unicorn.objects.values_list("pk", "tag", "sparkle")) == [(1, "a", 2)]
    assert column(Horn, "unicorn_id") == [1]


def test_a_row_that_says_its_class_does_not_become_another(merge: Merge) -> None:
    rose, oak = ContentType.objects.get_for_models(Rose, Oak).values()
    Rose.objects.create(pk=1, name="a", kind=rose, thorns=1)
    Oak.objects.create(pk=2, name="a", kind=oak, rings=2)
    Plant.objects.create(pk=3, name="b")
    Oak.objects.create(pk=4, name="b", kind=oak, rings=4)

    run = merge(model="ponies.Plant", fields=("name",))

    assert [refusal.groups for refusal in run.refused] == [2]
    assert "of another class by ponies_plant.kind_id; with 'kind' in the key, both stay" in run.refused[0].reason
    assert (run.removed, Plant.objects.count()) == (0, 4)
    assert sorted(Oak.objects.values_list("pk", "rings")) == [(2, 2), (4, 4)]


def test_rows_that_say_the_same_class_are_merged_with_what_completes_them(merge: Merge) -> None:
    oak = ContentType.objects.get_for_model(Oak)
    Plant.objects.create(pk=1, name="a", kind=oak)  # its oak is lost
    Oak.objects.create(pk=2, name="a", kind=oak, rings=2)
    Oak.objects.create(pk=3, name="a", kind=oak, rings=3)

    run = merge(model="ponies.Plant", fields=("name",))

    assert (run.removed, run.collisions) == (2, 1)
    assert list(Oak.objects.values_list("pk", "rings")) == [(1, 2)]
