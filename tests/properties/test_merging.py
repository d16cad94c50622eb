"""Whatever the data: no group left, the right survivor, no reference lost, no fact lost, and a way back."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import pytest
from django.apps import apps
from hypothesis import given
from hypothesis import strategies as st

from integrity.dedupe import DedupeRule, Latest, count_duplicates, undo_run
from tests.databases import Database
from tests.ponies.merging import merge
from tests.properties.herds import Herd, Rows, clubs, fill, herds
from tests.properties.invariants import contents, dangling, facts, rebuilt
from tests.snapshots import snapshot

PONIES = DedupeRule(model="ponies.Pony", fields=("name",), keep=(Latest("foaled"),))
CONTACTS = DedupeRule(model="ponies.Contact", constraint="one_contact_per_address")


@pytest.mark.slow
@given(herd=herds(), batch_size=st.integers(1, 3), connections=st.integers(1, 3))
def test_ponies_with_all_their_belongings(ponies: Database, herd: Herd, batch_size: int, connections: int) -> None:
    # The newest survives, NULL last, then the smallest number.
    survivors = firsts(
        herd["ponies_pony"], key=lambda row: row["name"], order=lambda row: (-(row["foaled"] or 0), row["id"])
    )

    check(PONIES, herd, batch_size=batch_size, connections=connections, survivors=survivors)


@pytest.fixture
def without_constraint(ponies: Database) -> None:
    ponies.execute("DROP INDEX one_contact_per_address")


@pytest.mark.slow
@given(herd=clubs(), batch_size=st.integers(1, 3), connections=st.integers(1, 3))
def test_contacts_under_every_kind_of_uniqueness(
    ponies: Database, without_constraint: None, herd: Herd, batch_size: int, connections: int
) -> None:
    survivors = firsts(
        herd["ponies_contact"],
        key=lambda row: row["address"].lower() if row["address"] else row["id"],
        order=lambda row: row["id"],
    )

    check(CONTACTS, herd, batch_size=batch_size, connections=connections, survivors=survivors)


def firsts(
    rows: Rows, *, key: Callable[[dict[str, Any]], Hashable], order: Callable[[dict[str, Any]], Any]
) -> set[int]:
    """The numbers of the rows that stand first among those with their key."""
    first: dict[Hashable, int] = {}
    for row in sorted(rows, key=order):
        first.setdefault(key(row), row["id"])
    return set(first.values())


def check(
    rule: DedupeRule, herd: Herd, *, batch_size: int, connections: int, survivors: set[int] | None = None
) -> None:
    """Merge, assert all that must hold, and undo."""
    fill(herd)
    before, whole = contents(herd), snapshot()

    run = merge(rule, batch_size=batch_size, connections=connections)

    after = contents(herd)
    refused = sum(refusal.groups for refusal in run.refused)
    assert all(refusal.reason for refusal in run.refused)
    assert run.groups_left == count_duplicates(rule, apps=apps, using="default").groups <= refused
    if survivors is not None:
        staying = {row["id"] for row in after[run.table]}
        assert staying == survivors or (refused and staying > survivors)
    assert dangling(after) <= dangling(before)
    for table, rows in rebuilt(after).items():
        assert facts(rows) == facts(before[table]), table
    assert merge(rule).removed == 0
    assert contents(herd) == after
    undone = undo_run(run.id, apps=apps, using="default")
    assert undone.refused == ()
    assert snapshot() == whole
