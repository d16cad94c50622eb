"""A row whose own key is a reference: what references it must follow."""

from __future__ import annotations

from tests.ponies.merging import column
from tests.ponies.models import Animal, Horn, Unicorn
from tests.references.conftest import Merge


def test_a_parent_whose_twin_is_a_child_too_becomes_the_child(merge: Merge) -> None:
    Animal.objects.create(pk=1, tag="a")
    Unicorn.objects.create(pk=2, tag="a", sparkle=2)
    Horn.objects.create(unicorn_id=2, length=3)

    merge(model="ponies.Animal", fields=("tag",))

    assert list(Unicorn.objects.values_list("pk", "tag", "sparkle")) == [(1, "a", 2)]
    assert column(Horn, "unicorn_id") == [1]
