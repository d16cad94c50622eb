"""Names of side tables and indexes: within the database's limit, and another one for another table."""

from __future__ import annotations

import pytest

from integrity.backends.names import own_name


def test_a_name_says_what_it_belongs_to() -> None:
    assert own_name("integrity_quarantine", "embedding", "1", room=2) == "integrity_quarantine_embedding_1"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("shop_item", "1"), ('shop"."item', "1")),
        (("t" * 70, "1"), ("t" * 70, "2")),
        (("t" * 70, "1"), ("t" * 71, "1")),
        (("ü" * 40, "1"), ("ü" * 41, "1")),
    ],
)
def test_other_tables_have_other_names_within_the_limit(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = [own_name("integrity_quarantine", *parts, room=2) for parts in (one, other)]

    assert len(set(names)) == 2
    assert all(len(name.encode()) <= 61 for name in names)
